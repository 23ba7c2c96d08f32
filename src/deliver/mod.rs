//! How a credential is used: fields → named values → a child's environment, or a text that other programs read. [`read`]
//! is the way back from such a text.

pub mod child;
pub mod format;
pub mod read;

use crate::credential::{Credential, Value};
use crate::problem::{Kind, Problem};
use crate::provider::{Provider, plain_variable};

/// One value under the name by which programs know it.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The variable's name.
    pub name: String,
    /// The value; what is secret stays marked.
    pub value: Value,
}

/// The fields of `credential` under their usual variable names, in the order of the provider file.
///
/// A field without a conventional name, or one that the file no longer knows, has a [`plain_variable`]. A variable of the provider file is delivered when it has a conventional name.
pub fn pairs(credential: &Credential, provider: Option<&Provider>) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = credential
        .fields
        .iter()
        .map(|(id, value)| {
            let usual = provider.and_then(|provider| provider.field(id)).and_then(|field| field.env.first().cloned());
            let name = usual.unwrap_or_else(|| plain_variable(credential.name.provider(), id));
            Pair { name, value: value.clone() }
        })
        .collect();
    if let Some(provider) = provider {
        for var in &provider.var {
            if let (Some(name), Some(value)) = (var.env.first(), credential.vars.get(&var.id)) {
                pairs.push(Pair { name: name.clone(), value: Value::Clear(value.clone()) });
            }
        }
    }
    pairs
}

/// Joins the pairs of several credentials.
///
/// # Errors
///
/// A [`Problem`] of kind [`Kind::Usage`] when two of them set one variable to different values.
pub fn join(all: Vec<(String, Vec<Pair>)>) -> Result<Vec<Pair>, Problem> {
    let mut joined: Vec<(String, Pair)> = Vec::new();
    for (from, pairs) in all {
        for pair in pairs {
            match joined.iter().find(|(_, known)| known.name == pair.name) {
                Some((first, known)) if known.value != pair.value => {
                    return Err(Problem::new(
                        Kind::Usage,
                        "variable-twice",
                        format!("`{first}` and `{from}` both set {}", pair.name),
                    )
                    .hint("name one of them only, or run one `exec` inside the other: the inner one wins"));
                }
                Some(_) => {}
                None => joined.push((from.clone(), pair)),
            }
        }
    }
    Ok(joined.into_iter().map(|(_, pair)| pair).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> Pair {
        Pair { name: name.into(), value: Value::Clear(value.into()) }
    }

    #[test]
    fn two_credentials_that_set_one_variable_differently_are_refused() {
        let clash = join(vec![("a".into(), vec![pair("X", "1")]), ("b".into(), vec![pair("X", "2")])]);
        assert_eq!(clash.unwrap_err().code, "variable-twice");
        let same = join(vec![("a".into(), vec![pair("X", "1")]), ("b".into(), vec![pair("X", "1"), pair("Y", "2")])]);
        assert_eq!(same.unwrap().iter().map(|pair| pair.name.as_str()).collect::<Vec<_>>(), ["X", "Y"]);
    }
}
