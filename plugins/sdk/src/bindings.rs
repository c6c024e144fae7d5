//! Generated from `plugins/wit`; nothing else lives here. A plugin that is both a filter
//! and a transform uses both modules: their worlds add up when the component is made.

/// The world `filter-plugin`.
pub mod filter {
    wit_bindgen::generate!({
        path: "wit",
        world: "filter-plugin",
        pub_export_macro: true,
        export_macro_name: "export_filter",
        default_bindings_module: "trackrelay_plugin::bindings::filter",
    });
}

/// The world `transform-plugin`.
pub mod transform {
    wit_bindgen::generate!({
        path: "wit",
        world: "transform-plugin",
        pub_export_macro: true,
        export_macro_name: "export_transform",
        default_bindings_module: "trackrelay_plugin::bindings::transform",
        with: {
            "track:relay/types@0.1.0": super::filter::track::relay::types,
            "track:relay/host@0.1.0": super::filter::track::relay::host,
        },
    });
}
