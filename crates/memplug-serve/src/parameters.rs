//! Reading the parameters of a call into the type of its method.
//!
//! What cannot be is named by its path, and nothing of the call is done then.

use memplug_varlink::Exchange;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The parameters, or `None` after answering which of them cannot be.
pub(crate) fn read<T: DeserializeOwned>(exchange: &mut Exchange<'_>) -> Option<T> {
    match parse(Value::Object(exchange.parameters().clone())) {
        Ok(read) => Some(read),
        Err(parameter) => {
            exchange.invalid_parameter(&parameter);
            None
        }
    }
}

/// # Errors
/// The name of the parameter that cannot be.
fn parse<T: DeserializeOwned>(parameters: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(parameters).map_err(|error| {
        let path = error.path().to_string();
        let text = error.inner().to_string();
        // One that is missing or unknown is named in the message only.
        let named = text.split('`').nth(1).unwrap_or_default();
        let names = text.starts_with("missing field") || text.starts_with("unknown field");
        match (path.as_str(), names && !path.ends_with(named)) {
            ("." | "", _) => named.to_owned(),
            (_, true) => format!("{path}.{named}"),
            (_, false) => path,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use memplug_interface::OnlineParameters;
    use serde_json::json;

    #[test]
    fn the_parameter_is_named() {
        for (value, name) in [
            (json!({}), "what"),
            (json!({"what": 5}), "what"),
            (json!({"what": {"blocks": [1, "x"]}}), "what.blocks[1]"),
            (json!({"what": {"block": 1}}), "what.block"),
            (json!({"what": {}, "deadline": 5}), "deadline"),
            (json!({"what": {}, "word": "up"}), "word"),
        ] {
            let read = parse::<OnlineParameters>(value.clone());
            assert_eq!(read.err().as_deref(), Some(name), "{value}");
        }
        assert!(parse::<OnlineParameters>(json!({"what": {"size": 5}})).is_ok());
    }
}
