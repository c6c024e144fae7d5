//! A look at a file before it is compiled. Cranelift cannot be interrupted and parsers that
//! nest can run out of stack, so what would take either too far is refused here, by counting.
//! Nothing is validated: that is done by who compiles.

use wasmparser::{
    BinaryReader, ComponentInstance, CustomSectionReader, FunctionBody, ImportSectionReader, Operator,
    OperatorsReader, Parser, Payload,
};

use super::limits::{MEMORY_CEILING, TABLE_ELEMENTS};
use super::text;

/// Functions of all modules of a file together. Python's component, the largest there is,
/// has 13 500.
pub(super) const FUNCTIONS: u64 = 40_000;

/// Largest body of one function. What a compiler needs for one grows faster than its size;
/// the main loop of Python, the largest there is, has 420 KiB.
pub(super) const BODY: usize = 1 << 20;

/// Variables of all functions together: five bytes can ask for 50 000 of them. Python's have
/// 48 000.
pub(super) const LOCALS: u64 = 500_000;

/// Blocks inside of each other in a function, and loops among them: compiling takes the square
/// of either, and of loops a thousand times as much (3 000 of them take a second). Compilers
/// make a block for each case of a `match`, but hardly ever ten loops.
pub(super) const BLOCKS: u64 = 5_000;
pub(super) const LOOPS: u64 = 100;

/// Types of components and instances that a section may open. Whoever reads them calls
/// itself for each that is inside of another, and has the stack of `plugin/compile.rs`.
pub(super) const OPENED: usize = 1_000;

/// Components inside of components; those of a compiler go one deep.
pub(super) const DEPTH: usize = 16;

/// Instances that all components can come to. A chain of components each of which makes
/// two of the one before would double with every few bytes.
pub(super) const INSTANCES: u64 = 10_000;

/// What stands before the first section: what it is, and in which version.
const HEADER: usize = 8;

/// The highest id of a section, that of tags of a core module; components have fewer.
const LAST_SECTION: u8 = 13;

/// What a core module has to say for itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Signs {
    /// It tells which component it means.
    pub(super) component_type: bool,
    /// It asks for the system interface of commands.
    pub(super) wasip1: bool,
}

/// The error completes "the file `x` …".
pub(super) fn weigh(bytes: &[u8]) -> Result<Signs, String> {
    let mut scale = Scale { instances: 1, ..Scale::default() };
    for payload in Parser::new(0).parse_all(bytes) {
        scale.put(payload.map_err(|error| broken(&error, bytes))?, bytes)?;
    }
    Ok(scale.signs)
}

#[derive(Default)]
struct Scale {
    functions: u64,
    locals: u64,
    /// Instances that each of the components that are open makes itself.
    open: Vec<u64>,
    instances: u64,
    signs: Signs,
}

impl Scale {
    fn put(&mut self, payload: Payload<'_>, bytes: &[u8]) -> Result<(), String> {
        match payload {
            Payload::Version { .. } => self.begin(),
            Payload::End(_) => self.end(),
            Payload::CodeSectionEntry(body) => self.function(&body, bytes),
            Payload::ComponentTypeSection(types) => opened(&bytes[types.range()]),
            Payload::CoreTypeSection(types) => opened(&bytes[types.range()]),
            Payload::ComponentInstanceSection(instances) => {
                let made = instances.into_iter().map_while(Result::ok);
                let made = made.filter(|made| matches!(made, ComponentInstance::Instantiate { .. }));
                if let Some(own) = self.open.last_mut() {
                    *own += made.count() as u64;
                }
                Ok(())
            }
            Payload::TableSection(tables) => {
                let most = tables.into_iter().map_while(Result::ok).map(|table| table.ty.initial).max();
                within(most.unwrap_or(0), TABLE_ELEMENTS as u64, "begins with a table of", "elements")
            }
            Payload::MemorySection(memories) => {
                let most = memories.into_iter().map_while(Result::ok).map(|memory| memory.initial).max();
                memory(most.unwrap_or(0))
            }
            Payload::CustomSection(section) if self.open.len() == 1 => self.custom(&section),
            Payload::UnknownSection { .. } => strange_end(bytes).map_or(Ok(()), Err),
            Payload::ImportSection(imports) if self.open.len() == 1 => {
                self.signs.wasip1 |= is_wasip1(imports);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self) -> Result<(), String> {
        self.open.push(0);
        within(self.open.len() as u64, DEPTH as u64, "nests", "components")
    }

    /// Whatever instantiates what: one component comes to at most its own instances times
    /// those of any other, and so all of them to at most this product.
    fn end(&mut self) -> Result<(), String> {
        let own = self.open.pop().unwrap_or(0);
        self.instances = self.instances.saturating_mul(own + 1);
        within(self.instances, INSTANCES, "may come to", "instances of components")
    }

    fn function(&mut self, body: &FunctionBody<'_>, bytes: &[u8]) -> Result<(), String> {
        self.functions += 1;
        within(self.functions, FUNCTIONS, "has", "functions")?;
        within(body.range().len() as u64, BODY as u64, "has a function of", "bytes")?;
        let locals = body.get_locals_reader().map_err(|error| broken(&error, bytes))?;
        for group in locals {
            self.locals += u64::from(group.map_err(|error| broken(&error, bytes))?.0);
            within(self.locals, LOCALS, "has", "local variables")?;
        }
        nesting(body.get_operators_reader().map_err(|error| broken(&error, bytes))?)
    }

    /// A core module keeps the component that it means in such a section.
    fn custom(&mut self, section: &CustomSectionReader<'_>) -> Result<(), String> {
        if !section.name().starts_with("component-type") {
            return Ok(());
        }
        self.signs.component_type = true;
        for payload in Parser::new(0).parse_all(section.data()) {
            match payload {
                Ok(Payload::ComponentTypeSection(types)) => opened(&section.data()[types.range()])?,
                Ok(Payload::CoreTypeSection(types)) => opened(&section.data()[types.range()])?,
                // Whoever makes a component of it says what is wrong with it.
                Err(_) => break,
                Ok(_) => {}
            }
        }
        Ok(())
    }
}

fn nesting(operators: OperatorsReader<'_>) -> Result<(), String> {
    // Whether each block that is open is a loop.
    let (mut open, mut loops) = (Vec::new(), 0);
    // Whoever compiles it says what is wrong with it.
    for operator in operators.into_iter().map_while(Result::ok) {
        match operator {
            Operator::Block { .. } | Operator::If { .. } | Operator::TryTable { .. } => open.push(false),
            Operator::Loop { .. } => {
                open.push(true);
                loops += 1;
            }
            Operator::End => loops -= u64::from(open.pop() == Some(true)),
            _ => continue,
        }
        within(open.len() as u64, BLOCKS, "nests", "blocks")?;
        within(loops, LOOPS, "nests", "loops")?;
    }
    Ok(())
}

/// Each type that others can stand in begins with one of these bytes. That text may hold
/// them too only makes the count higher.
fn opened(section: &[u8]) -> Result<(), String> {
    let openers = section.iter().filter(|byte| matches!(byte, 0x41 | 0x42)).count();
    within(openers as u64, OPENED as u64, "may nest", "types")
}

fn memory(pages: u64) -> Result<(), String> {
    if pages.saturating_mul(64 << 10) <= MEMORY_CEILING as u64 {
        return Ok(());
    }
    let most = text::size(MEMORY_CEILING);
    Err(format!("begins with {pages} pages of memory, over the {most} that `limits.memory` can say at most"))
}

fn is_wasip1(imports: ImportSectionReader<'_>) -> bool {
    let mut imports = imports.into_imports().map_while(Result::ok);
    imports.any(|import| import.module == "wasi_snapshot_preview1")
}

fn within(count: u64, most: u64, does: &str, what: &str) -> Result<(), String> {
    if count <= most {
        return Ok(());
    }
    Err(format!("{does} more than {most} {what}, which is the limit; no key changes it"))
}

/// A file that is still being written ends early, so that is told apart.
fn broken(error: &wasmparser::Error, bytes: &[u8]) -> String {
    let error = error.to_string();
    if !error.starts_with("unexpected end") {
        return format!("is damaged: {}; copy or build it again", text::brief(&error));
    }
    strange_end(bytes).unwrap_or_else(|| {
        let length = bytes.len();
        format!(
            "ends too early, after {length} bytes: it was cut short, or other bytes follow its end; copy or build it again"
        )
    })
}

/// What is said if bytes follow that begin no section there is. Those that happen to begin like
/// one cannot be told from a file that was cut short.
fn strange_end(bytes: &[u8]) -> Option<String> {
    let mut sections = BinaryReader::new(bytes.get(HEADER..)?, 0);
    loop {
        let left = sections.bytes_remaining();
        if sections.read_u8().ok()? > LAST_SECTION {
            let end = bytes.len() - left;
            return Some(format!(
                "is no WebAssembly from byte {end} on: {left} other bytes follow its end; copy or build it again"
            ));
        }
        sections.read_reader().ok()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(parts: &str) -> Vec<u8> {
        wat::parse_str(format!("(module {parts})")).unwrap()
    }

    /// A function that opens so many of these inside of each other.
    fn nested(opener: &str, depth: usize) -> Vec<u8> {
        let parts = format!("(func {} {})", opener.repeat(depth), "end ".repeat(depth));
        module(&parts)
    }

    /// A section whose types open so many inside of each other, in a component.
    fn types(depth: usize) -> Vec<u8> {
        let section = [&[1][..], &b"\x41\x01\x01".repeat(depth), b"\x41\0"].concat();
        let length = [0x80 | (section.len() & 0x7f) as u8, (section.len() >> 7) as u8];
        [b"\0asm\x0d\0\x01\0\x07", &length[..], &section].concat()
    }

    /// Components each of which makes two of the one before it.
    fn doubling(times: usize) -> Vec<u8> {
        let more = |at: usize| {
            format!(
                "(component $c{at} (alias outer 1 $c{} (component $x))
                    (instance (instantiate $x)) (instance (instantiate $x)))",
                at - 1
            )
        };
        let chain: String = (1..=times).map(more).collect();
        wat::parse_str(format!("(component (component $c0) {chain} (instance (instantiate $c{times})))"))
            .unwrap()
    }

    fn refused(bytes: &[u8], what: &str) {
        assert_eq!(weigh(bytes), Err(format!("{what}, which is the limit; no key changes it")));
    }

    #[test]
    fn what_would_take_a_compiler_too_far_is_refused_before() {
        for (bytes, what) in [
            (module(&"(func)".repeat(40_001)), "has more than 40000 functions"),
            (
                module(&format!("(func {})", "nop ".repeat(1 << 20))),
                "has a function of more than 1048576 bytes",
            ),
            (
                module(&format!("(func (local {}))", "i32 ".repeat(500_001))),
                "has more than 500000 local variables",
            ),
            (nested("loop ", 101), "nests more than 100 loops"),
            (nested("block ", 5_001), "nests more than 5000 blocks"),
            (module("(table 100001 funcref)"), "begins with a table of more than 100000 elements"),
            (types(1_001), "may nest more than 1000 types"),
            (doubling(14), "may come to more than 10000 instances of components"),
            (
                wat::parse_str("(component ".repeat(17) + &")".repeat(17)).unwrap(),
                "nests more than 16 components",
            ),
        ] {
            refused(&bytes, what);
        }
        let memory = weigh(&module("(memory 4097)"));
        assert_eq!(
            memory,
            Err("begins with 4097 pages of memory, over the 256MiB that `limits.memory` can say at most"
                .into())
        );
    }

    #[test]
    fn what_just_fits_passes() {
        for bytes in [
            module(&"(func)".repeat(40_000)),
            nested("loop ", 100),
            nested("block ", 5_000),
            module("(table 100000 funcref) (memory 4096)"),
            types(999),
            doubling(7),
        ] {
            assert_eq!(weigh(&bytes), Ok(Signs::default()));
        }
        // Neighbours are no nest.
        assert_eq!(weigh(&module(&format!("(func {})", "loop end ".repeat(1_000)))), Ok(Signs::default()));
    }

    #[test]
    fn a_file_that_ends_early_or_late_says_so() {
        let bytes = module("(func nop)");
        let early = |length: usize| {
            format!(
                "ends too early, after {length} bytes: it was cut short, or other bytes follow its end; copy or build it again"
            )
        };
        let late = |more: usize| {
            format!(
                "is no WebAssembly from byte 25 on: {more} other bytes follow its end; copy or build it again"
            )
        };
        assert_eq!(weigh(&bytes[..22]), Err(early(22)));
        for (tail, wanted) in [
            ("\n", early(26)),
            ("\0\0\0", early(28)),
            ("</html>", late(7)),
            ("-", late(1)),
            (&"z".repeat(1000), late(1000)),
        ] {
            assert_eq!(weigh(&[&bytes[..], tail.as_bytes()].concat()), Err(wanted), "{tail:?}");
        }
    }
}
