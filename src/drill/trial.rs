//! What a drill tries, and how it tells authors what came of it: what is to hold, why it matters, what to do.

use api::workbench::Case;
use engine::registration::{Kind, Mode};

/// What was seen of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It holds; with what was seen, where that says more.
    Passed(String),
    /// It does not, and this was seen.
    Failed(String),
    /// It could not be tried, for this reason.
    Skipped(String),
}

/// What a drill tries, in the order of its report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trial {
    Check,
    Steps,
    NoSignature,
    WrongKey,
    TamperedBody,
    Stale,
    Future,
    Replay,
    UnknownStep,
    UnknownVersion,
    PastDeadline,
    ShortDeadline,
    Twice,
    Crash,
    InProgress,
    WrongValue,
    RevokeNothing,
    Ended,
}

impl Trial {
    /// Those that make sense of this kind of rotator.
    pub(super) fn of(kind: &Kind) -> Vec<Self> {
        let Kind::Webhook(webhook) = kind else {
            return vec![Self::Steps, Self::Twice, Self::Crash, Self::Ended];
        };
        let all = [
            (Self::Check, webhook.checks),
            (Self::Steps, true),
            (Self::NoSignature, true),
            (Self::WrongKey, true),
            (Self::TamperedBody, true),
            (Self::Stale, true),
            (Self::Future, true),
            (Self::Replay, true),
            (Self::UnknownStep, true),
            (Self::UnknownVersion, true),
            (Self::PastDeadline, true),
            (Self::ShortDeadline, true),
            (Self::Twice, true),
            (Self::Crash, true),
            (Self::InProgress, true),
            (Self::WrongValue, webhook.mode == Mode::Managed),
            (Self::RevokeNothing, webhook.revokes),
            (Self::Ended, true),
        ];
        all.into_iter().filter(|(_, applies)| *applies).map(|(trial, _)| trial).collect()
    }

    pub(super) fn case(self, seen: Option<&Seen>) -> Case {
        let (name, why, remedy) = self.texts();
        let (passed, detail) = match seen {
            Some(Seen::Passed(said)) => (true, said.clone()),
            Some(Seen::Failed(said)) => (false, format!("{said} {remedy}")),
            Some(Seen::Skipped(said)) => (false, format!("Not tried: {said}")),
            None if self == Self::InProgress => (true, "No step was in progress when it was asked for.".to_owned()),
            None => (false, "Not tried: the rotation did not get that far.".to_owned()),
        };
        Case { name: name.to_owned(), passed, why: why.to_owned(), detail }
    }

    /// What is to hold, why it matters, what to do where it does not.
    fn texts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Check => (
                "the step check says that all is well",
                "It is asked before rotation is enabled, and whoever enables it is told what it says.",
                "Put right what it names, or have it answer Done.",
            ),
            Self::Steps => (
                "every step of a rotation is carried out",
                "These are the events that rotations are made of.",
                "Answer 200 with {\"Status\":\"Done\"} when a step is done, and a structured error when it is not.",
            ),
            Self::NoSignature => (
                "an event without a signature is refused",
                "Whoever reaches the URL could change the credential.",
                "Verify webhook-signature before anything else, and answer 401 where it is missing.",
            ),
            Self::WrongKey => (
                "an event signed with another key is refused",
                "Whoever reaches the URL could change the credential.",
                "Verify webhook-signature with the key that Pawl gave you, and answer 401 where it does not match.",
            ),
            Self::TamperedBody => (
                "an event that was changed after it was signed is refused",
                "Whoever stands between could put a password of his own into it.",
                "Verify the signature over webhook-id, webhook-timestamp and the body's bytes as they came.",
            ),
            Self::Stale => (
                "an event of ten minutes ago is refused",
                "A recorded event could be sent again later, and bring an old password back.",
                "Refuse a webhook-timestamp that is more than five minutes off; see that the receiver's clock is right.",
            ),
            Self::Future => (
                "an event of ten minutes from now is refused",
                "It could be sent again until then.",
                "Refuse a webhook-timestamp that is more than five minutes off; see that the receiver's clock is right.",
            ),
            Self::Replay => (
                "an old signature under a new timestamp is refused",
                "A recorded event could be sent again for ever.",
                "Sign webhook-timestamp too when you compare: the signature is over id, timestamp and body.",
            ),
            Self::UnknownStep => (
                "a step that does not exist is refused",
                "A step that a later Pawl sends must not be taken for one that was carried out.",
                "Answer 400 with an Error of Kind NeedsPerson for every Step that you do not know.",
            ),
            Self::UnknownVersion => (
                "a version of the contract that does not exist is refused",
                "What the members of a later version mean is not known yet.",
                "Answer 400 with an Error of Kind NeedsPerson unless Version is 1.",
            ),
            Self::PastDeadline => (
                "an event whose deadline is over is not carried out",
                "After the deadline Pawl looks at the target and goes on from what it sees; what lands later undoes that.",
                "Compare Deadline with the clock before you change anything, and answer 503 with Kind Retryable when it is over.",
            ),
            Self::ShortDeadline => (
                "a short deadline is kept",
                "An answer after the deadline is not waited for, and the step is sent again.",
                "Give calls to the target no more time than is left until Deadline, and answer Retryable or InProgress in time.",
            ),
            Self::Twice => (
                "every step can come twice",
                "An answer can be lost; then the same event comes again, perhaps while the first is still under way.",
                "Look at the target instead of remembering: what is done already is Done.",
            ),
            Self::Crash => (
                "a step whose answer nobody read can be done again",
                "Pawl or the network can die between a step and its answer.",
                "Look at the target instead of remembering: what is done already is Done.",
            ),
            Self::InProgress => (
                "work that is in progress comes to an end",
                "A step that is in progress for ever keeps the rotation open.",
                "Answer Done when the same event comes again and the work is finished.",
            ),
            Self::WrongValue => (
                "testSecret of a wrong password is Rejected",
                "AWSCURRENT moves on the word of testSecret: it must log in, with the value it is given.",
                "Log in with Pending, and answer with Kind Rejected where the target refuses it.",
            ),
            Self::RevokeNothing => (
                "revoke of a tag that was never issued is Done",
                "Where the request was lost nothing was issued, and Pawl cannot know.",
                "Answer Done where there is nothing to end.",
            ),
            Self::Ended => (
                "the rotation ends with the new value as AWSCURRENT",
                "That is what it is for.",
                "See `pawl rotation history` of the secret; `pawl rotation abandon` gives an open rotation up.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_that_failed_says_what_was_seen_and_what_to_do() {
        let case = Trial::WrongKey.case(Some(&Seen::Failed("It answered 200 Done.".to_owned())));
        assert!(!case.passed && case.detail.starts_with("It answered 200 Done. Verify"), "{case:?}");
    }

    #[test]
    fn a_case_that_was_not_tried_does_not_pass() {
        assert!(!Trial::Crash.case(None).passed);
        assert!(!Trial::Crash.case(Some(&Seen::Skipped("no time.".to_owned()))).passed);
    }
}
