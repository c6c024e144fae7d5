//! Makes the core module that a compiler leaves into the component that it means:
//! `cargo run -p trackrelay-plugin --example componentize -- in.wasm out.wasm`. trackrelay
//! does the same when it is given a core module.

use std::{env, fs, process};

use wit_component::ComponentEncoder;

fn main() {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [input, output] = arguments.as_slice() else {
        eprintln!("usage: componentize IN.wasm OUT.wasm");
        process::exit(2);
    };
    let made = fs::read(input).map_err(Into::into).and_then(|module| {
        let component = ComponentEncoder::default().validate(true).module(&module)?.encode()?;
        Ok::<_, Box<dyn std::error::Error>>(fs::write(output, component)?)
    });
    if let Err(error) = made {
        eprintln!("failed to make {} into a component: {error}", input.display());
        process::exit(1);
    }
}
