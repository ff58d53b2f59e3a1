//! Actions and resources: texts in which `*` and `?` stand for others.

/// The patterns of Action or Resource, or of their Not- forms.
#[derive(Debug)]
pub(super) enum Patterns {
    /// What one of them matches.
    Of(Vec<String>),
    /// What none of them matches.
    AllBut(Vec<String>),
}

impl Patterns {
    /// Whether this action, in any spelling of case, is among them.
    pub(super) fn cover_action(&self, action: &str) -> bool {
        let action = action.to_ascii_lowercase();
        self.cover_by(|pattern| matches(&pattern.to_ascii_lowercase(), &action))
    }

    /// Whether this secret is among them; where it is not named, whether every secret is.
    pub(super) fn cover(&self, secret: Option<&str>) -> bool {
        match secret {
            Some(arn) => self.cover_by(|pattern| matches(pattern, arn)),
            None => matches!(self, Self::Of(patterns) if patterns.iter().any(|pattern| pattern == "*")),
        }
    }

    fn cover_by(&self, matches: impl Fn(&String) -> bool) -> bool {
        match self {
            Self::Of(patterns) => patterns.iter().any(matches),
            Self::AllBut(patterns) => !patterns.iter().any(matches),
        }
    }
}

/// `*` for any characters, `?` for one. Goes back only to the latest `*`, so its time is at most the product of the
/// lengths.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Whether a text can be an Action: `*`, or a service's prefix and a name, which may have wildcards.
pub(super) fn is_action(text: &str) -> bool {
    let Some((service, name)) = text.split_once(':') else {
        return text == "*";
    };
    let is_service = !service.is_empty() && service.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"*?".contains(&byte);
    (is_service || service == "*") && !name.is_empty() && name.bytes().all(is_name)
}

/// Whether a text can be a Resource: `*`, or an ARN, which may have wildcards.
pub(super) fn is_resource(text: &str) -> bool {
    let is_arn = text.starts_with("arn:") && text.splitn(6, ':').count() == 6;
    text == "*" || is_arn && !text.ends_with(':') && text.chars().all(|c| !c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_any_text_and_for_one_character() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("", "", true),
            ("?", "", false),
            ("a*c", "abbbc", true),
            ("a*c", "abbbd", false),
            ("a*b*c", "a-b-b-c", true),
            ("*ab", "aab", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("abc", "ab", false),
            ("ab", "abc", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn many_wildcards_do_not_take_for_ever() {
        let pattern = "*a".repeat(2000);
        assert!(!matches(&format!("{pattern}b"), &"a".repeat(5000)));
    }

    #[test]
    fn actions_and_resources_have_their_forms() {
        for action in ["*", "secretsmanager:*", "secretsmanager:Get*Value", "SecretsManager:putresourcepolic?", "*:*"] {
            assert!(is_action(action), "{action}");
        }
        for action in ["", "GetSecretValue", "secretsmanager:", ":Get", "secretsmanager:Get Value", "a b:c", "s*:c"] {
            assert!(!is_action(action), "{action}");
        }
        for resource in ["*", "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-??????", "arn:aws:s3:::b/*"] {
            assert!(is_resource(resource), "{resource}");
        }
        for resource in ["", "secret", "a*", "arn:aws:s3", "arn:aws:secretsmanager:us-east-1:123456789012:"] {
            assert!(!is_resource(resource), "{resource}");
        }
    }
}
