//! The oracle: who logs in to Redis, asked over a client of its own, independently of Pawl and of the examples.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use pawl::servers::Server;
use serde_json::{Value, json};

use crate::harness::unique;

/// A user of a private Redis.
pub(crate) struct User {
    pub(crate) server: &'static Server,
    pub(crate) name: String,
    pub(crate) password: String,
}

impl User {
    /// Makes a user with rules of its own and a password to search for.
    pub(crate) fn create(server: &'static Server) -> Self {
        let (name, password) = (unique("u"), unique("Canary-first-"));
        let rules = ["on", "resetchannels", "~app:*", "&news", "-@all", "+@read", "+set"];
        let user = Self { server, name, password };
        user.set(&[&[&*format!(">{}", user.password)], &rules[..]].concat());
        user
    }

    /// Changes the user as an administrator at a keyboard does.
    pub(crate) fn set(&self, rules: &[&str]) {
        let command = [&["ACL", "SETUSER", &self.name], rules].concat();
        assert_eq!(as_admin(self.server, &command), "+OK", "{rules:?}");
    }

    /// The secret's JSON with this password.
    pub(crate) fn secret(&self, password: &str) -> Value {
        json!({
            "engine": "redis", "host": self.server.host, "port": self.server.port,
            "username": self.name, "password": password,
        })
    }

    /// Whether this password logs in now.
    pub(crate) fn logs_in(&self, password: &str) -> bool {
        logs_in(self.server, &self.name, password).unwrap_or(false)
    }

    /// All rules but the passwords.
    pub(crate) fn rules(&self) -> String {
        let list = as_admin(self.server, &["ACL", "LIST"]);
        let line = list.lines().find(|line| line.starts_with(&format!("user {} ", self.name))).expect("the user");
        line.split(' ').filter(|word| !word.starts_with('#')).collect::<Vec<_>>().join(" ")
    }
}

/// Whether a login works; None where Redis gives no answer.
pub(crate) fn logs_in(server: &Server, user: &str, password: &str) -> Option<bool> {
    let answer = ask(server, &[&["AUTH", user, password]])?;
    assert!(answer == "+OK" || answer.starts_with("-WRONGPASS"), "{answer}");
    Some(answer == "+OK")
}

/// A command as the administrator; what the server answered, its lists as lines.
pub(crate) fn as_admin(server: &Server, command: &[&str]) -> String {
    ask(server, &[&["AUTH", &server.admin_user, &server.admin_password], command]).expect("Redis answers")
}

/// Sends commands on a connection of their own, and returns the last answer.
fn ask(server: &Server, commands: &[&[&str]]) -> Option<String> {
    let mut stream = TcpStream::connect((server.host.as_str(), server.port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut answer = None;
    for words in commands {
        let words_sent: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
        stream.write_all(format!("*{}\r\n{words_sent}", words.len()).as_bytes()).ok()?;
        answer = Some(read(&mut reader)?);
    }
    answer
}

fn read(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let line = line.strip_suffix("\r\n")?;
    let length = || line[1..].parse::<usize>().ok();
    match line.chars().next()? {
        '*' => (0..length()?).map(|_| read(reader)).collect::<Option<Vec<_>>>().map(|items| items.join("\n")),
        '$' => {
            let mut text = vec![0; length()? + 2];
            reader.read_exact(&mut text).ok()?;
            String::from_utf8(text).ok().map(|text| text.trim_end().to_owned())
        }
        _ => Some(line.to_owned()),
    }
}
