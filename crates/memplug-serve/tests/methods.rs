//! Arbitrary parameters for every method: always an answer, never a change unless the answer
//! says it was done.

mod stage;

use memplug_varlink::CallError;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};
use stage::{call, stage};

/// Names that parameters have, so that some of the nonsense comes close.
const NAMES: [&str; 20] = [
    "what",
    "node",
    "size",
    "blocks",
    "device",
    "block",
    "word",
    "mode",
    "deadline_ms",
    "placement",
    "operation",
    "name",
    "value",
    "priority",
    "events",
    "limit_ms",
    "subscription",
    "notice",
    "answer",
    "usage",
];

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2i64..50).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        prop::sample::select(vec![
            "online",
            "offline",
            "exact",
            "best_effort",
            "auto_movable_ratio",
            "301",
            "ok",
            "",
        ])
        .prop_map(Value::from),
        ".{0,16}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            object(inner).prop_map(Value::Object),
        ]
    })
}

fn object(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    let name = prop_oneof![
        8 => prop::sample::select(NAMES.to_vec()).prop_map(str::to_owned),
        1 => "[a-z_]{0,8}",
    ];
    prop::collection::vec((name, inner), 0..5).prop_map(|pairs| pairs.into_iter().collect())
}

#[test]
fn every_method_answers_whatever_it_is_called_with() {
    let stage = stage();
    stage.online([32, 33]);
    let methods: Vec<&str> = memplug_interface::methods()
        .into_iter()
        .filter(|method| !["Watch", "Subscribe"].contains(method))
        .collect();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(1500));
    let client = std::cell::RefCell::new(stage.raw());
    let input = (prop::sample::select(methods), object(json_value()));
    runner
        .run(&input, |(method, mut parameters)| {
            // A machine of a size that the test can look at again and again.
            if method == "Add" {
                parameters.insert("size".into(), json!(12345));
            }
            let before = (stage.states(), format!("{:?}", control_policy(&stage)));
            let answer = call(&mut client.borrow_mut(), method, Value::Object(parameters));
            match answer {
                Ok(_) => {}
                Err(CallError::Answered { error, .. }) => {
                    prop_assert!(!error.is_empty());
                    let after = (stage.states(), format!("{:?}", control_policy(&stage)));
                    prop_assert_eq!(before, after, "{} changed something", method);
                }
                Err(other) => prop_assert!(false, "{}: {}", method, other),
            }
            Ok(())
        })
        .expect("every call is answered");
}

fn control_policy(stage: &stage::Stage) -> memplug_control::PolicySettings {
    use memplug_control::Control;
    stage.control.policy().expect("settings")
}

#[test]
fn streams_answer_whatever_they_are_called_with() {
    let stage = stage();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(150));
    let input = (
        prop::sample::select(vec!["Watch", "Subscribe"]),
        object(json_value()),
    );
    runner
        .run(&input, |(method, parameters)| {
            let mut client = stage.raw();
            let name = format!("io.memplug.Machine1.{method}");
            let mut replies = client
                .call_more(&name, &Value::Object(parameters))
                .expect("sent");
            let reply = replies.next().expect("a reply");
            prop_assert!(
                matches!(reply, Ok(_) | Err(CallError::Answered { .. })),
                "{:?}",
                reply
            );
            Ok(())
        })
        .expect("every call is answered");
    stage::until("they left", || {
        use memplug_control::Control;
        stage.control.subscribers().is_ok_and(|all| all.is_empty())
    });
}
