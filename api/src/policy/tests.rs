//! What is a policy, and what is said of one.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const ACCOUNT: &str = "123456789012";
const ADMIN: &str = "arn:aws:iam::123456789012:user/admin";
const SECRET: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf";

fn manager() -> Manager<'static> {
    Manager { arn: ADMIN, account: ACCOUNT, secret: Some(SECRET) }
}

fn read(policy: &Value) -> Result<Policy, Flaw> {
    Policy::read(&policy.to_string())
}

/// One statement as clients write it, with members put in, replaced, or (null) taken out.
fn statement(changes: Value) -> Value {
    let mut statement = json!({
        "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:role/reader"},
        "Action": "secretsmanager:GetSecretValue", "Resource": "*",
    });
    let Value::Object(changes) = changes else { panic!("an object") };
    for (name, value) in changes {
        statement.as_object_mut().expect("an object").insert(name, value);
    }
    statement.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
    statement
}

fn policy(changes: Value) -> Value {
    json!({"Version": "2012-10-17", "Statement": [statement(changes)]})
}

fn principal(principal: Value) -> Value {
    let mut document = policy(json!({}));
    document["Statement"][0]["Principal"] = principal;
    document
}

fn condition(condition: Value) -> Value {
    let mut document = principal(json!("*"));
    document["Statement"][0]["Condition"] = condition;
    document
}

#[test]
fn what_the_grammar_has_is_taken() {
    for document in [
        policy(json!({})),
        json!({"Statement": statement(json!({}))}),
        json!({"Version": "2008-10-17", "Id": "x", "Statement": [statement(json!({"Sid": "one"})), statement(json!({"Sid": "two"}))]}),
        // An empty Sid is none, so it may come twice.
        json!({"Statement": [statement(json!({"Sid": ""})), statement(json!({"Sid": ""}))]}),
        policy(json!({"Principal": null, "NotPrincipal": {"AWS": ADMIN}, "Effect": "Deny"})),
        policy(json!({"Action": null, "NotAction": ["secretsmanager:Delete*"]})),
        policy(json!({"Resource": null, "NotResource": SECRET})),
        policy(json!({"Condition": {}})),
    ] {
        assert!(read(&document).is_ok(), "{document}");
    }
}

#[test]
fn what_the_grammar_does_not_have_is_a_syntax_error() {
    for text in ["", "x", "[]", "null", "{}", "\"\"", "{\"Statement\":[]}", "{\"Statement\":[]} x", "{\"Statement\":"] {
        assert_eq!(Policy::read(text).expect_err("no policy"), Flaw::Syntax, "{text}");
    }
    for document in [
        json!({"Version": "2012-10-18", "Statement": statement(json!({}))}),
        json!({"Version": 2012, "Statement": statement(json!({}))}),
        json!({"Id": null, "Statement": statement(json!({}))}),
        json!({"Statement": "x"}),
        json!({"Statement": [[statement(json!({}))]]}),
        json!({"statement": statement(json!({}))}),
        json!({"Statement": statement(json!({})), "More": 1}),
        json!({"Statement": [statement(json!({"Sid": "one"})), statement(json!({"Sid": "one"}))]}),
        policy(json!({"Effect": null})),
        policy(json!({"Effect": "allow"})),
        policy(json!({"Principal": null})),
        policy(json!({"NotPrincipal": "*"})),
        policy(json!({"Action": null})),
        policy(json!({"NotAction": "*"})),
        policy(json!({"Resource": null})),
        policy(json!({"NotResource": "*"})),
        policy(json!({"Action": []})),
        policy(json!({"Action": [1]})),
        policy(json!({"Action": "GetSecretValue"})),
        policy(json!({"Resource": "a"})),
        policy(json!({"Surprise": "x"})),
        principal(json!("somebody")),
        principal(json!({})),
        principal(json!({"AWS": []})),
        principal(json!({"Aws": "*"})),
        condition(json!([])),
        condition(json!({"StringSortOf": {"aws:SourceVpc": "x"}})),
        condition(json!({"StringEquals": {}})),
        condition(json!({"StringEquals": "x"})),
        condition(json!({"StringEquals": {"aws:SourceVpc": []}})),
        condition(json!({"StringEquals": {"aws:SourceVpc": {"x": 1}}})),
        condition(json!({"StringEquals": {"SourceVpc": "x"}})),
        condition(json!({"ForSomeValues:StringEquals": {"aws:SourceVpc": "x"}})),
        condition(json!({"NullIfExists": {"aws:SourceVpc": "true"}})),
        condition(json!({"Bool": {"aws:SecureTransport": "yes"}})),
        condition(json!({"NumericLessThan": {"aws:MultiFactorAuthAge": "old"}})),
        condition(json!({"DateLessThan": {"aws:CurrentTime": "tomorrow"}})),
        condition(json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/33"}})),
        condition(json!({"IpAddress": {"aws:SourceIp": "localhost"}})),
        condition(json!({"BinaryEquals": {"a:b": "!"}})),
    ] {
        assert_eq!(read(&document).expect_err("no policy"), Flaw::Syntax, "{document}");
    }
}

#[test]
fn an_element_twice_is_a_syntax_error() {
    for text in [
        r#"{"Statement":{},"Statement":{}}"#,
        r#"{"Statement":{"Effect":"Allow","Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}"#,
        r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"*","AWS":"*"},"Action":"*","Resource":"*"}}"#,
        r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"Null":{"a:b":"true","a:b":"true"}}}}"#,
    ] {
        assert_eq!(Policy::read(text).expect_err("no policy"), Flaw::Syntax, "{text}");
    }
}

#[test]
fn depth_is_bounded() {
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    assert_eq!(Policy::read(&deep).expect_err("no policy"), Flaw::Syntax);
}

#[test]
fn every_operator_is_known_with_what_may_be_written_around_it() {
    let bases = [
        ("String", &["Equals", "NotEquals", "EqualsIgnoreCase", "NotEqualsIgnoreCase", "Like", "NotLike"][..], "x"),
        ("Arn", &["Equals", "Like", "NotEquals", "NotLike"], "arn:aws:s3:::b"),
        ("Numeric", &["Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"], "-1.5"),
        (
            "Date",
            &["Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"],
            "2026-03-10T09:37:00Z",
        ),
        ("", &["Bool"], "true"),
        ("Binary", &["Equals"], "eA=="),
        ("", &["IpAddress", "NotIpAddress"], "2001:db8::/32"),
    ];
    for (kind, names, value) in bases {
        for name in names {
            for form in ["{}", "{}IfExists", "ForAnyValue:{}", "ForAllValues:{}IfExists"] {
                let operator = form.replace("{}", &format!("{kind}{name}"));
                let block = json!({ &operator: {"a:b": [value, "${aws:username}"]} });
                assert!(read(&condition(block)).is_ok(), "{operator}");
            }
        }
    }
    for (operator, value) in [
        ("Null", json!(true)),
        ("Bool", json!(false)),
        ("NumericEquals", json!(7)),
        ("NumericEquals", json!([1.5, -2])),
        ("DateLessThan", json!(1_773_135_420)),
        ("IpAddress", json!(["10.0.0.0/8", "192.0.2.1"])),
    ] {
        assert!(read(&condition(json!({ operator: {"a:b": value} }))).is_ok(), "{operator} {value}");
    }
}

#[test]
fn well_formed_principals_are_taken_whoever_they_are() {
    for name in [
        json!("*"),
        json!({"AWS": "*"}),
        json!({"AWS": ACCOUNT}),
        json!({"AWS": ["arn:aws:iam::123456789012:root", ADMIN]}),
        json!({"AWS": "arn:aws-us-gov:iam::123456789012:role/path/to/a+b=c,d.e@f_g-h"}),
        json!({"AWS": "arn:aws:sts::123456789012:assumed-role/role/session"}),
        json!({"AWS": "arn:aws:sts::123456789012:federated-user/bob"}),
        json!({"Service": ["lambda.amazonaws.com", "logs.eu-west-1.amazonaws.com", "ec2.amazonaws.com.cn"]}),
        json!({"Federated": "cognito-identity.amazonaws.com"}),
        json!({"Federated": "arn:aws:iam::123456789012:saml-provider/Corp"}),
        json!({"Federated": "arn:aws:iam::123456789012:oidc-provider/token.example.com/id"}),
        json!({"CanonicalUser": "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"}),
        json!({"AWS": ACCOUNT, "Service": "lambda.amazonaws.com"}),
    ] {
        assert!(read(&principal(name.clone())).is_ok(), "{name}");
    }
}

#[test]
fn names_nobody_can_have_are_unsupported_principals() {
    for name in [
        "",
        "admin",
        "12345678901",
        "AIDACKCEVSQ6C2EXAMPLE",
        "arn:aws:iam::123456789012:role/*",
        "arn:aws:iam::123456789012:role/",
        "arn:aws:iam::123456789012:user",
        "arn:aws:iam::123456789012:group/all",
        "arn:aws:iam::1234:root",
        "arn:aws:iam:us-east-1:123456789012:root",
        "arn:aws:sts::123456789012:assumed-role/role",
        "arn:aws:s3:::bucket",
        "arn:other:iam::123456789012:root",
    ] {
        for list in [json!(name), json!(["*", name])] {
            let flaw = read(&principal(json!({ "AWS": list }))).expect_err("nobody");
            assert_eq!(flaw, Flaw::Principal, "{name}");
        }
    }
    for name in [json!({"Federated": "*"}), json!({"Federated": "corp"}), json!({"CanonicalUser": "abc"})] {
        assert_eq!(read(&principal(name.clone())).expect_err("nobody"), Flaw::Principal, "{name}");
    }
    for name in ["", "*", "lambda", "lambda.example.com", ".amazonaws.com", "Lambda.amazonaws.com", "a b.amazonaws.com"]
    {
        let flaw = read(&principal(json!({ "Service": name }))).expect_err("no service");
        assert_eq!(flaw, Flaw::ServicePrincipal, "{name}");
    }
}

#[test]
fn syntax_is_judged_before_principals() {
    let document = json!({"Statement": [statement(json!({"Principal": {"AWS": "nobody"}})), {}]});
    assert_eq!(read(&document).expect_err("no policy"), Flaw::Syntax);
}

#[test]
fn a_policy_for_everybody_is_broad_unless_its_source_is_fixed() {
    let broad = |document: Value| read(&document).unwrap_or_else(|flaw| panic!("{flaw}: {document}")).is_broad();
    for document in [
        principal(json!("*")),
        principal(json!({"AWS": [ADMIN, "*"]})),
        policy(json!({"Principal": null, "NotPrincipal": {"AWS": ADMIN}})),
        condition(json!({})),
        condition(json!({"StringEquals": {"aws:PrincipalTag/team": "blue"}})),
        condition(json!({"StringLike": {"aws:SourceArn": "arn:aws:s3:::*"}})),
        condition(json!({"StringLike": {"aws:SourceAccount": ["123456789012", "2*"]}})),
        condition(json!({"StringNotEquals": {"aws:SourceVpc": "vpc-1"}})),
        condition(json!({"StringEqualsIfExists": {"aws:SourceVpc": "vpc-1"}})),
        condition(json!({"ForAllValues:StringEquals": {"aws:SourceVpc": "vpc-1"}})),
        condition(json!({"StringEquals": {"aws:SourceVpc": "${aws:PrincipalTag/vpc}"}})),
        condition(json!({"Null": {"aws:SourceVpc": "false"}})),
    ] {
        assert!(broad(document.clone()), "{document}");
    }
    for document in [
        policy(json!({})),
        principal(json!({"Service": "lambda.amazonaws.com"})),
        policy(json!({"Principal": "*", "Effect": "Deny"})),
        policy(json!({"Principal": null, "NotPrincipal": "*"})),
        condition(json!({"StringEquals": {"aws:SourceVpc": "vpc-1"}})),
        condition(json!({"StringEquals": {"AWS:sourceVpce": ["vpce-1", "vpce-2"]}})),
        condition(json!({"ArnEquals": {"aws:SourceArn": "arn:aws:s3:::b"}, "Bool": {"aws:SecureTransport": true}})),
        condition(json!({"ForAnyValue:StringLike": {"aws:SourceAccount": "123456789012"}})),
    ] {
        assert!(!broad(document.clone()), "{document}");
    }
    let second = json!({"Statement": [statement(json!({})), statement(json!({"Principal": "*"}))]});
    assert!(broad(second), "one statement is enough");
}

#[test]
fn a_policy_locks_out_if_it_denies_managing_to_the_manager_always() {
    let deny = |changes: Value| {
        let mut document = policy(changes);
        document["Statement"][0]["Effect"] = json!("Deny");
        document
    };
    let everybody = |changes: Value| {
        let mut document = deny(changes);
        document["Statement"][0]["Principal"] = json!("*");
        if document["Statement"][0]["Action"] == "secretsmanager:GetSecretValue" {
            document["Statement"][0]["Action"] = json!("*");
        }
        document
    };
    let locks_out =
        |document: &Value| read(document).unwrap_or_else(|flaw| panic!("{flaw}: {document}")).locks_out(manager());
    for document in [
        everybody(json!({})),
        everybody(json!({"Condition": {}})),
        everybody(json!({"Action": "SecretsManager:Put*"})),
        everybody(json!({"Resource": SECRET})),
        everybody(json!({"Resource": "arn:aws:secretsmanager:*:*:secret:a-??????"})),
        everybody(json!({"Resource": null, "NotResource": "arn:aws:s3:::b"})),
        deny(json!({"Principal": {"AWS": ACCOUNT}, "Action": "secretsmanager:*"})),
        deny(
            json!({"Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "secretsmanager:PutResourcePolicy"}),
        ),
        deny(json!({"Principal": {"AWS": ADMIN}, "Action": null, "NotAction": "secretsmanager:GetSecretValue"})),
        deny(json!({"Principal": null, "NotPrincipal": {"AWS": "999999999999"}, "Action": "*"})),
    ] {
        assert!(locks_out(&document), "{document}");
    }
    for document in [
        policy(json!({"Principal": "*", "Action": "*"})),
        everybody(json!({"Action": "secretsmanager:GetSecretValue*"})),
        everybody(json!({"Condition": {"StringNotEquals": {"aws:SourceVpc": "vpc-1"}}})),
        everybody(json!({"Resource": "arn:aws:secretsmanager:us-east-1:123456789012:secret:b-??????"})),
        everybody(json!({"Action": null, "NotAction": "secretsmanager:*"})),
        deny(json!({"Principal": {"AWS": "999999999999"}, "Action": "*"})),
        deny(json!({"Principal": {"Service": "lambda.amazonaws.com"}, "Action": "*"})),
        deny(json!({"Principal": null, "NotPrincipal": {"AWS": [ADMIN]}, "Action": "*"})),
        deny(json!({"Principal": null, "NotPrincipal": {"AWS": ACCOUNT}, "Action": "*"})),
    ] {
        assert!(!locks_out(&document), "{document}");
    }
    let nowhere = Manager { secret: None, ..manager() };
    let some = |document: Value| read(&document).expect("a policy").locks_out(nowhere);
    assert!(some(everybody(json!({}))));
    assert!(!some(everybody(json!({"Resource": SECRET}))), "it may be another secret");
}

fn one_or_more(items: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(items).prop_map(Value::from),
        prop::collection::vec(prop::sample::select(items), 1..4).prop_map(Value::from),
    ]
}

fn valid_statement() -> impl Strategy<Value = Value> {
    let principals = prop_oneof![
        Just(json!("*")),
        one_or_more(&["*", ACCOUNT, ADMIN]).prop_map(|names| json!({ "AWS": names })),
        one_or_more(&["lambda.amazonaws.com"]).prop_map(|names| json!({ "Service": names })),
    ];
    let conditions = prop::option::of(prop::collection::btree_map(
        prop::sample::select(&["StringEquals", "ForAnyValue:StringLikeIfExists", "ArnNotLike"][..]),
        prop::collection::btree_map("[a-z]{1,4}:[A-Za-z/]{1,6}", one_or_more(&["x", "*", "${aws:x}"]), 1..3),
        0..3,
    ));
    let (actions, resources) = (one_or_more(&["*", "secretsmanager:Get*"]), one_or_more(&["*", SECRET]));
    let effect = prop::sample::select(&["Allow", "Deny"][..]);
    (any::<[bool; 3]>(), effect, principals, actions, resources, conditions).prop_map(
        |(inverted, effect, principals, actions, resources, conditions)| {
            let name = |inverted: bool, name: &str| if inverted { format!("Not{name}") } else { name.to_owned() };
            let mut statement = json!({
                "Effect": effect, name(inverted[0], "Principal"): principals, name(inverted[1], "Action"): actions,
                name(inverted[2], "Resource"): resources,
            });
            if let Some(conditions) = conditions {
                statement["Condition"] = json!(conditions);
            }
            statement
        },
    )
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in ".{0,200}", json in r#"[\{\}\[\]",:a-zA-Z0-9 ]{0,200}"#) {
        for text in [&text, &json] {
            if let Ok(policy) = Policy::read(text) {
                policy.is_broad();
                policy.locks_out(manager());
            }
        }
    }

    #[test]
    fn a_valid_policy_stays_one_however_it_is_written(statements in prop::collection::vec(valid_statement(), 1..4)) {
        let document = json!({"Version": "2012-10-17", "Id": "p", "Statement": statements});
        let compact = Policy::read(&document.to_string());
        prop_assert!(compact.is_ok(), "{document}");
        let spread = Policy::read(&serde_json::to_string_pretty(&document).expect("JSON"));
        let (compact, spread) = (compact.expect("a policy"), spread.expect("a policy"));
        prop_assert_eq!(compact.is_broad(), spread.is_broad());
        prop_assert_eq!(compact.locks_out(manager()), spread.locks_out(manager()));
    }

    #[test]
    fn a_valid_policy_with_one_byte_changed_is_judged_without_a_panic(
        statement in valid_statement(), at: prop::sample::Index, byte in 32_u8..127,
    ) {
        let mut text = json!({ "Statement": statement }).to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        if let Ok(policy) = Policy::read(std::str::from_utf8(&text).expect("ASCII")) {
            policy.is_broad();
            policy.locks_out(manager());
        }
    }
}
