//! The rule sets that come with the program, for `use NAME`. Each lies in `rules/NAME` with a sample, the
//! key sets before and after, and the script that makes the sample by the real library.

/// A shipped rule set.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// What `use` calls it.
    pub name: &'static str,
    /// Its rules.
    pub text: &'static str,
}

/// A row of [`SHIPPED`]: the file is called what its folder is called.
macro_rules! shipped {
    ($name:literal) => {
        Shipped { name: $name, text: include_str!(concat!("../../rules/", $name, "/", $name, ".rules")) }
    };
}

/// All of them: wrappers first, then layouts, then whole models.
pub const SHIPPED: &[Shipped] = &[
    shipped!("data_parallel"),
    shipped!("compiled"),
    shipped!("wrapped"),
    shipped!("lightning"),
    shipped!("weight_norm"),
    shipped!("gamma_beta"),
    shipped!("fuse_attention"),
    shipped!("split_attention"),
    shipped!("densenet"),
    shipped!("llama_hf"),
];

/// The set of that name.
pub fn find(name: &str) -> Option<&'static Shipped> {
    SHIPPED.iter().find(|shipped| shipped.name == name)
}

/// All names, in order.
pub fn names() -> Vec<&'static str> {
    SHIPPED.iter().map(|shipped| shipped.name).collect()
}
