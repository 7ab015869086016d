//! Why optimizer state cannot follow.

/// Optimizer state that cannot be mapped.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum OptimizerError {
    #[error(
        "`{path}` has {params} parameters, and no {params} of the {tensors} tensors have their shapes in this order"
    )]
    Unmapped { path: String, params: usize, tensors: usize },
    #[error(
        "which tensors the {params} parameters of `{path}` are cannot be told from the shapes: there are several ways"
    )]
    Ambiguous { path: String, params: usize },
    #[error("`{path}` names the parameter `{name}`, which is no key of the state dict")]
    UnknownName { path: String, name: String },
    #[error("`{path}` has state for the parameter `{id}`, which is in none of its groups")]
    Stray { path: String, id: String },
    #[error("`{key}` is made by {what}, and its optimizer state cannot follow")]
    Values { key: String, what: String },
    #[error("`{key}` is made of parameters of different groups: `{first}` and `{second}`")]
    Groups { key: String, first: String, second: String },
    #[error("`{key}` is new, and it cannot be told which of the {groups} groups it belongs to")]
    NewParameter { key: String, groups: usize },
    #[error("`{key}` is made of `{with}`, which has optimizer state, and `{without}`, which has none")]
    Partial { key: String, with: String, without: String },
    #[error("`{name}` of `{key}` is {what}, and does not have the parameter's shape")]
    Shape { key: String, name: String, what: String },
    #[error("`{name}` differs between `{first}` and `{second}`, which become one parameter")]
    Differs { name: String, first: String, second: String },
}

impl OptimizerError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            OptimizerError::Unmapped { .. } | OptimizerError::UnknownName { .. } => "optimizer-unmapped",
            OptimizerError::Ambiguous { .. } => "optimizer-ambiguous",
            _ => "optimizer-state",
        }
    }

    /// What to do instead.
    pub fn helps(&self) -> Vec<String> {
        let mut helps = Vec::new();
        if let OptimizerError::Ambiguous { path, .. } = self {
            helps.push(format!(
                "say which are the parameters of an optimizer: `--params '{path}=generator.**'`, or of a group of \
                 its: `--params '{path}.param_groups.1=**.bias'`"
            ));
        }
        match self {
            OptimizerError::Unmapped { .. } | OptimizerError::Ambiguous { .. } => helps.push(
                "a key set of the old version beside the rules (`v1.keys.yaml`) that says `parameter` or `buffer` \
                 on each line tells which tensors are parameters; an optimizer that got `named_parameters()` \
                 needs none"
                    .to_owned(),
            ),
            _ => {}
        }
        helps.push(
            "`optimizer drop` in the rules, or `--optimizer drop`, leaves optimizer state out".to_owned(),
        );
        helps
    }
}
