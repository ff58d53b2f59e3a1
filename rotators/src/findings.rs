//! Owns the list that a preflight makes of what it found, and the words that its findings are known by. Never here:
//! looking at a target.

use engine::check::{Finding, Level};
use engine::outcome::StepError;

/// What was found, in the order in which it was looked at.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    list: Vec<Finding>,
}

impl Findings {
    /// As it should be.
    pub(crate) fn ok(&mut self, code: &str, message: impl Into<String>) {
        self.push(Finding::new(Level::Ok, code, message));
    }

    /// Rotation works; somebody should know this.
    pub(crate) fn warning(&mut self, code: &str, message: impl Into<String>, remedy: impl Into<String>) {
        self.push(Finding::new(Level::Warning, code, message).remedy(remedy));
    }

    /// Rotation would fail, or would prove nothing.
    pub(crate) fn problem(&mut self, code: &str, message: impl Into<String>, remedy: impl Into<String>) {
        self.push(Finding::new(Level::Problem, code, message).remedy(remedy));
    }

    /// What the admin and the account both meet is said once.
    fn push(&mut self, finding: Finding) {
        if !self.list.contains(&finding) {
            self.list.push(finding);
        }
    }

    /// A problem that a step would answer with this error.
    pub(crate) fn error(&mut self, error: &StepError) {
        self.problem(word(&error.code), error.message.clone(), error.remedy.clone());
    }

    /// The same with a remedy that can be pasted.
    pub(crate) fn error_mended_by(&mut self, error: &StepError, remedy: impl Into<String>) {
        self.problem(word(&error.code), error.message.clone(), remedy);
    }

    pub(crate) fn into_list(self) -> Vec<Finding> {
        self.list
    }
}

/// The word of a finding for the code of an error: the same for every kind of database, and the same over versions.
fn word(code: &str) -> &str {
    match code {
        "28P01" | "1045" => "login",
        "refused" | "timeout" | "unreachable" | "bad-host" | "network" | "no-answer" | "connection-lost" | "08"
        | "57P03" => "unreachable",
        "28000" => "pg-hba",
        "1129" | "1130" => "host",
        "tls-certificate" | "tls-not-offered" | "tls-handshake" | "sslrootcert" | "no-roots" | "3159" => "tls",
        "no-password-asked" => "trust",
        "25006" | "1290" | "1836" => "standby",
        "3D000" => "database",
        "42501" | "1044" | "1142" | "1143" | "1227" => "privilege",
        "42704" | "1133" => "no-account",
        "53300" | "1040" | "1203" | "1226" => "connection-limit",
        "auth-method" | "auth-plugin" | "1251" | "1524" | "1698" => "plugin",
        "3118" | "3955" | "4150" | "4151" => "locked",
        "expired" | "1820" | "1862" => "expired",
        "1131" => "anonymous",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use engine::outcome::Verdict;

    use super::*;

    #[test]
    fn an_error_of_a_step_becomes_a_problem_with_a_word_of_ours() {
        let mut findings = Findings::default();
        let error = StepError::new(Verdict::Retry, "1836", "db:1 is read-only (error 1836).").remedy("Wait.");
        findings.error(&error);
        findings.error(&StepError::new(Verdict::NeedsPerson, "admin-secret", "It cannot be used."));
        findings.error(&error);
        let list = findings.into_list();
        assert_eq!(list.len(), 2, "said once");
        assert_eq!((list[0].code.as_str(), list[0].remedy.as_str()), ("standby", "Wait."));
        assert_eq!(list[1].code, "admin-secret");
    }
}
