//! How each engine makes its data directory and starts: the two scripts the supervisor runs.
//!
//! Owns every flag that a private server is given. Passwords go through files in the server's own
//! folder, never over a command line.

use std::path::Path;

use super::Engine;
use super::find::Binaries;
use super::tls::Tls;

/// What a private server is to be.
pub(super) struct Plan<'a> {
    pub(super) binaries: &'a Binaries,
    pub(super) dir: &'a Path,
    pub(super) tls: &'a Tls,
    pub(super) admin_user: &'a str,
    pub(super) admin_password: &'a str,
    pub(super) app_user: &'a str,
    pub(super) other_user: &'a str,
    pub(super) app_password: &'a str,
    pub(super) port: u16,
    /// The numeric user and group the server runs as, when that is not who we are.
    pub(super) service: Option<(u32, u32)>,
    pub(super) extra_args: &'a [String],
}

/// The two scripts, and what goes with them.
pub(super) struct Recipe {
    /// What the preparation reads; holds the administrator's password, and the preparation removes it.
    pub(super) input: String,
    pub(super) prepare: String,
    pub(super) run: String,
    /// The signal that ends the server soon but cleanly.
    pub(super) stop_signal: &'static str,
}

/// The name of the file that holds [`Recipe::input`].
pub(super) const INPUT: &str = "prepare.in";

impl Plan<'_> {
    /// The scripts for this plan.
    pub(super) fn recipe(&self) -> Recipe {
        match self.binaries.engine {
            Engine::Postgres => self.postgres(),
            Engine::Mariadb => self.mariadb(),
            Engine::Mysql => self.mysql(),
            Engine::Redis => self.redis(),
        }
    }

    fn postgres(&self) -> Recipe {
        let (data, input) = (self.path("data"), self.path(INPUT));
        let init = [
            format!("--pgdata={data}"),
            format!("--username={}", self.admin_user),
            format!("--pwfile={input}"),
            "--auth=scram-sha-256".to_owned(),
            "--no-locale".to_owned(),
            "--encoding=UTF8".to_owned(),
            "--no-sync".to_owned(),
        ];
        // A server for one statement and without a network, so that no client program is needed.
        let single = ["--single", "-D", &data, "-c", "fsync=off", "postgres"].map(str::to_owned);
        let settings = [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={}", self.port),
            "unix_socket_directories=".to_owned(),
            "password_encryption=scram-sha-256".to_owned(),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", self.tls.cert.display()),
            format!("ssl_key_file={}", self.tls.key.display()),
            format!("ssl_ca_file={}", self.tls.ca.display()),
            "max_connections=200".to_owned(),
            // What a process has written outlives it; only the death of the machine would lose it.
            "fsync=off".to_owned(),
            // No segment in /dev/shm that a killed server would leave there.
            "dynamic_shared_memory_type=mmap".to_owned(),
        ];
        let run = ["-D".to_owned(), data].into_iter();
        let run = run.chain(settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]));
        Recipe {
            // initdb takes the first line as the password; the rest are statements, one a line.
            input: format!(
                "{}\nCREATE DATABASE app\nCREATE ROLE {} LOGIN PASSWORD '{}'\nCREATE ROLE {} LOGIN PASSWORD '{}'\n",
                self.admin_password, self.app_user, self.app_password, self.other_user, self.app_password
            ),
            prepare: script(&[
                self.command(&self.binaries.init, init),
                format!("sed 1d {} | {}", quote(&input), self.command(&self.binaries.server, single)),
                format!("rm -f {}", quote(&input)),
            ]),
            run: self.exec(run),
            // TERM would wait for every client to leave by itself; INT sends them away.
            stop_signal: "INT",
        }
    }

    fn mariadb(&self) -> Recipe {
        let input = self.path(INPUT);
        let mut init = vec!["--no-defaults".to_owned()];
        init.extend(self.unpacked_base());
        init.extend([
            format!("--datadir={}", self.path("data")),
            "--auth-root-authentication-method=normal".to_owned(),
            "--skip-test-db".to_owned(),
            "--skip-name-resolve".to_owned(),
            format!("--extra-file={input}"),
        ]);
        Recipe {
            // The set-up runs without the grant tables; FLUSH brings them in, and accounts with them.
            input: format!("FLUSH PRIVILEGES;\n{}", self.mysql_admin()),
            prepare: script(&[self.command(&self.binaries.init, init), format!("rm -f {}", quote(&input))]),
            run: self.exec(self.mysql_server(&["--innodb-log-file-size=16M"])),
            stop_signal: "TERM",
        }
    }

    fn mysql(&self) -> Recipe {
        let input = self.path(INPUT);
        let mut init = vec!["--no-defaults".to_owned(), "--initialize-insecure".to_owned()];
        init.extend(self.unpacked_base());
        init.extend([
            format!("--datadir={}", self.path("data")),
            format!("--init-file={input}"),
            "--innodb-flush-method=nosync".to_owned(),
        ]);
        let own = [
            "--secure-file-priv=NULL",
            "--mysqlx=OFF",
            "--skip-log-bin",
            "--caching-sha2-password-auto-generate-rsa-keys=ON",
        ];
        Recipe {
            input: self.mysql_admin(),
            prepare: script(&[self.command(&self.binaries.init, init), format!("rm -f {}", quote(&input))]),
            run: self.exec(self.mysql_server(&own)),
            stop_signal: "TERM",
        }
    }

    fn redis(&self) -> Recipe {
        let users = self.path("data/users.acl");
        let arguments = [
            ("--bind", "127.0.0.1"),
            ("--port", &self.port.to_string()),
            ("--dir", &self.path("data")),
            ("--aclfile", &users),
            ("--save", ""),
            ("--appendonly", "no"),
            ("--daemonize", "no"),
        ];
        Recipe {
            input: format!(
                "user default off\nuser {} on >{} ~* &* +@all\nuser {} on >{} ~* &* +@all -@admin -@dangerous\n",
                self.admin_user, self.admin_password, self.app_user, self.app_password
            ),
            prepare: script(&[format!("mv {} {}", quote(&self.path(INPUT)), quote(&users))]),
            run: self.exec(arguments.iter().flat_map(|(flag, value)| [(*flag).to_owned(), (*value).to_owned()])),
            stop_signal: "TERM",
        }
    }

    /// The statements that make the administrator and the database; one a line, as both servers want it.
    fn mysql_admin(&self) -> String {
        let (user, password) = (self.admin_user, self.admin_password);
        let (app, other, app_password) = (self.app_user, self.other_user, self.app_password);
        format!(
            "CREATE USER '{user}'@'%' IDENTIFIED BY '{password}';\n\
             GRANT ALL PRIVILEGES ON *.* TO '{user}'@'%' WITH GRANT OPTION;\n\
             CREATE DATABASE app;\n\
             CREATE USER '{app}'@'%' IDENTIFIED BY '{app_password}';\n\
             GRANT ALL PRIVILEGES ON app.* TO '{app}'@'%';\n\
             CREATE USER '{other}'@'%' IDENTIFIED BY '{app_password}';\n\
             GRANT ALL PRIVILEGES ON app.* TO '{other}'@'%';\n"
        )
    }

    /// The flags that MySQL and MariaDB share.
    fn mysql_server(&self, own: &[&str]) -> Vec<String> {
        let mut arguments = vec!["--no-defaults".to_owned()];
        arguments.extend(self.unpacked_base());
        arguments.extend([
            format!("--datadir={}", self.path("data")),
            format!("--tmpdir={}", self.path("tmp")),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--port={}", self.port),
            // Relative to the data directory: a full path may exceed what a socket's name can hold.
            "--socket=server.sock".to_owned(),
            format!("--pid-file={}", self.path("data/server.pid")),
            format!("--ssl-ca={}", self.tls.ca.display()),
            format!("--ssl-cert={}", self.tls.cert.display()),
            format!("--ssl-key={}", self.tls.key.display()),
            "--skip-name-resolve".to_owned(),
            "--performance-schema=OFF".to_owned(),
            "--innodb-buffer-pool-size=64M".to_owned(),
            "--innodb-flush-method=nosync".to_owned(),
        ]);
        if let Some(base) = &self.binaries.unpacked {
            arguments.push(format!("--plugin-dir={}", base.join("lib/mysql/plugin").display()));
        }
        arguments.extend(own.iter().map(|&argument| argument.to_owned()));
        arguments
    }

    /// An unpacked MySQL or MariaDB is not where it was built to be, and must be told.
    fn unpacked_base(&self) -> Vec<String> {
        let Some(base) = &self.binaries.unpacked else {
            return Vec::new();
        };
        let mut arguments = vec![format!("--basedir={}", base.display())];
        if self.binaries.engine == Engine::Mysql {
            arguments.push(format!("--lc-messages-dir={}", base.join("share/mysql").display()));
            arguments.push(format!("--character-sets-dir={}", base.join("share/mysql/charsets").display()));
        }
        arguments
    }

    /// A script that becomes the server, as the caller's extra arguments have the last word.
    fn exec(&self, arguments: impl IntoIterator<Item = String>) -> String {
        let arguments = arguments.into_iter().chain(self.extra_args.iter().cloned());
        format!("exec {}\n", self.command(&self.binaries.server, arguments))
    }

    /// A command line for `program`, run as the service user where we are root.
    fn command(&self, program: &Path, arguments: impl IntoIterator<Item = String>) -> String {
        let mut words = Vec::new();
        if let Some((user, group)) = self.service {
            words.push(format!("setpriv --reuid={user} --regid={group} --clear-groups --"));
        }
        words.push(quote(&program.to_string_lossy()));
        words.extend(arguments.into_iter().map(|argument| quote(&argument)));
        words.join(" ")
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).to_string_lossy().into_owned()
    }
}

fn script(lines: &[String]) -> String {
    format!("set -e\n{}\n", lines.join("\n"))
}

/// A word that the shell takes as it is.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_word_reaches_the_program_as_it_was() {
        for word in ["plain", "", "a b", "it's", "$(id) `id` \\ \"", "-c", "ü"] {
            let script = format!("printf %s {}", quote(word));
            let output = std::process::Command::new("/bin/sh").args(["-c", &script]).output().expect("a shell");
            assert_eq!(String::from_utf8_lossy(&output.stdout), word);
        }
    }
}
