//! Owns where registered rotators may be: which hosts and addresses may be dialled, and where plain http will do.
//! Whoever registers a URL must not be able to make this server knock at doors inside.
//!
//! Never here: what is sent there. The address that was judged is the address that is dialled (`resolver.rs`).

mod address;
mod resolver;

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Url};

use self::address::{plain_form, why_not_public};
pub(crate) use self::resolver::{Guarded, NoAddress};
pub use self::resolver::{Lookup, SystemLookup};

/// What the operator allows beside public addresses over https. The default allows nothing beside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Egress {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    /// This host, whatever it resolves to.
    Host(String),
    /// Every host below this domain; with its leading dot.
    Below(String),
    /// These addresses, whatever leads to them.
    Net(IpNet),
}

/// An entry of the policy that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no entry of an egress policy: write a host name, .domain for every host below it, an address, or a CIDR \
     such as 10.20.0.0/16"
)]
pub struct BadEgress(pub String);

/// Why a place may not be called. Names hosts and addresses, never a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotAllowed(String);

/// How a host is written: decides what may be at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// An entry names it.
    Named,
    /// `localhost`, 127.0.0.0/8 or `[::1]`, spelled out.
    Loopback,
    /// Any other.
    Other,
}

impl Egress {
    /// Reads the entries: `host`, `.domain`, an address, or a CIDR.
    ///
    /// # Errors
    /// [`BadEgress`] with the first entry that is none of these.
    pub fn parse<S: AsRef<str>>(entries: impl IntoIterator<Item = S>) -> Result<Self, BadEgress> {
        let rules: Result<Vec<_>, BadEgress> = entries.into_iter().map(|entry| Rule::parse(entry.as_ref())).collect();
        Ok(Self { rules: rules? })
    }

    /// May this URL be called, as far as it says by itself? A name's addresses are judged when it is resolved.
    ///
    /// # Errors
    /// [`NotAllowed`]: the scheme, or the address that is spelled out.
    pub(crate) fn judge_url(&self, url: &Url) -> Result<(), NotAllowed> {
        let plain = match url.scheme() {
            "https" => false,
            "http" => true,
            other => return Err(NotAllowed(format!("the scheme {other} is not https"))),
        };
        match url.host() {
            None => Err(NotAllowed("the URL names no host".to_owned())),
            Some(Host::Ipv4(ip)) => self.judge_address(&ip.to_string(), plain, IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => self.judge_address(&ip.to_string(), plain, IpAddr::V6(ip)),
            Some(Host::Domain(name)) => self.judge_name(name, plain),
        }
    }

    /// Plain http to a name needs an entry that names it, or that covers the addresses it will have.
    fn judge_name(&self, name: &str, plain: bool) -> Result<(), NotAllowed> {
        let covers = self.rules.iter().any(|rule| matches!(rule, Rule::Net(_)));
        match self.standing(name) {
            Standing::Other if plain && !covers => Err(no_tls(name)),
            _ => Ok(()),
        }
    }

    /// May `host`, which is or has resolved to `ip`, be dialled?
    fn judge_address(&self, host: &str, plain: bool, ip: IpAddr) -> Result<(), NotAllowed> {
        let real = plain_form(ip);
        match self.standing(host) {
            Standing::Named => Ok(()),
            _ if self.covers(ip) || self.covers(real) => Ok(()),
            Standing::Loopback if real.is_loopback() => Ok(()),
            Standing::Loopback => Err(NotAllowed(format!("{host} is {ip}, which is not this machine"))),
            Standing::Other => match why_not_public(ip) {
                Some(why) => Err(NotAllowed(format!(
                    "{} {why}",
                    if host == ip.to_string() { host.to_owned() } else { format!("{host} resolves to {ip}, which") }
                ))),
                None if plain => Err(no_tls(host)),
                None => Ok(()),
            },
        }
    }

    fn covers(&self, ip: IpAddr) -> bool {
        self.rules.iter().any(|rule| matches!(rule, Rule::Net(net) if net.contains(&ip)))
    }

    fn standing(&self, host: &str) -> Standing {
        let host = tidy(host);
        let named = |rule: &Rule| match rule {
            Rule::Host(name) => *name == host,
            Rule::Below(domain) => host.len() > domain.len() && host.ends_with(domain.as_str()),
            Rule::Net(_) => false,
        };
        let loopback = || host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| plain_form(ip).is_loopback());
        match self.rules.iter().any(named) {
            true => Standing::Named,
            false if loopback() => Standing::Loopback,
            false => Standing::Other,
        }
    }
}

impl Rule {
    fn parse(entry: &str) -> Result<Self, BadEgress> {
        let bad = || BadEgress(entry.to_owned());
        let text = entry.trim();
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(Self::Net(net.trunc()));
        }
        if let Ok(ip) = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Ok(Self::Net(IpNet::from(plain_form(ip))));
        }
        let (below, name) = match text.strip_prefix('.') {
            Some(name) => (true, name),
            None => (false, text),
        };
        // As a URL's host is read, so that capitals and IDN compare equal.
        let host = match Host::parse(name) {
            Ok(Host::Domain(host)) if !name.is_empty() => tidy(&host),
            // An address in another spelling: 127.1 and its like.
            Ok(Host::Ipv4(ip)) if !below => return Ok(Self::Net(IpNet::from(IpAddr::V4(ip)))),
            _ => return Err(bad()),
        };
        let is_plain = host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
        match below {
            _ if host.is_empty() || !is_plain => Err(bad()),
            true => Ok(Self::Below(format!(".{host}"))),
            false => Ok(Self::Host(host)),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) | Self::Below(host) => f.write_str(host),
            Self::Net(net) => write!(f, "{net}"),
        }
    }
}

impl fmt::Display for Egress {
    /// The entries, as they could be given again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, rule) in self.rules.iter().enumerate() {
            write!(f, "{}{rule}", if n == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

fn no_tls(host: &str) -> NotAllowed {
    NotAllowed(format!("plain http to {host} is not allowed: https is required, except to this machine itself"))
}

/// A host name as it is compared: small letters, without the final dot.
fn tidy(host: &str) -> String {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn judge(egress: &Egress, url: &str) -> Result<(), NotAllowed> {
        egress.judge_url(&Url::parse(url).expect("a URL"))
    }

    #[test]
    fn only_public_addresses_over_https_and_this_machine_may_be_called_by_default() {
        let egress = Egress::default();
        for url in ["https://93.184.215.14/x", "https://[2606:4700::1111]/", "https://hooks.example/x"] {
            judge(&egress, url).expect(url);
        }
        for url in
            ["http://localhost:9000", "http://127.0.0.1:1", "http://127.8.8.8", "http://[::1]:5", "https://LOCALHOST./"]
        {
            judge(&egress, url).expect(url);
        }
        for url in ["http://hooks.example/", "http://93.184.215.14/", "http://foo.localhost/", "ftp://hooks.example/"] {
            judge(&egress, url).expect_err(url);
        }
    }

    #[test]
    fn an_inner_address_is_refused_in_every_spelling() {
        for host in [
            "10.0.0.1",
            "172.16.9.9",
            "192.168.1.1",
            "169.254.169.254",
            "0xa9fea9fe",
            "2852039166",
            "0251.0376.0251.0376",
            "169.254.43518",
            "100.64.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "0.0.0.0",
            "0",
            "224.0.0.1",
            "255.255.255.255",
            "198.51.100.7",
            "[::]",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "[fc00::1]",
            "[ff02::1]",
            "[::ffff:169.254.169.254]",
            "[::ffff:a9fe:a9fe]",
            "[::169.254.169.254]",
            "[64:ff9b::169.254.169.254]",
            "[64:ff9b:1::a00:1]",
            "[2002:a9fe:a9fe::]",
            "[2001:0:1::1]",
            "[2001:db8::1]",
            "１６９.２５４.１６９.２５４",
            "169。254。169。254",
            "169.254.169.254.",
        ] {
            let url = format!("https://{host}/latest");
            judge(&Egress::default(), &url).expect_err(host);
        }
    }

    #[test]
    fn this_machine_spelled_oddly_is_this_machine() {
        for host in ["127.1", "0x7f000001", "2130706433", "[::ffff:127.0.0.1]", "017700000001"] {
            judge(&Egress::default(), &format!("http://{host}/")).expect(host);
        }
    }

    #[test]
    fn an_entry_allows_what_it_says_and_no_more() {
        let egress = Egress::parse(["Hooks.Internal", ".svc.cluster.local", "10.1.0.0/16", "fd12::/32", "192.168.7.7"]);
        let egress = egress.expect("an entry of each kind");
        for url in [
            "http://hooks.internal/a",
            "https://HOOKS.internal./a",
            "http://pawl.svc.cluster.local/",
            "http://10.1.255.1/",
            "https://[::ffff:10.1.2.3]/",
            "https://[fd12::9]/",
            "http://192.168.7.7/",
        ] {
            judge(&egress, url).expect(url);
        }
        for url in [
            "http://svc.cluster.local.example.com./x/..",
            "https://10.2.0.1/",
            "https://192.168.7.8/",
            "https://[fd13::1]/",
            "https://169.254.169.254/",
        ] {
            let answer = judge(&egress, url).and_then(|()| {
                let host = Url::parse(url).expect("a URL").host_str().unwrap_or_default().to_owned();
                egress.judge_address(&host, url.starts_with("http:"), IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)))
            });
            answer.expect_err(url);
        }
        assert_eq!(
            egress.to_string(),
            "hooks.internal,.svc.cluster.local,10.1.0.0/16,fd12::/32,192.168.7.7/32",
            "what is shown can be given again"
        );
    }

    #[test]
    fn an_address_behind_a_name_is_judged_by_the_name_too() {
        let named = Egress::parse(["db.internal"]).expect("a name");
        let inner = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 5));
        named.judge_address("db.internal", true, inner).expect("named");
        named.judge_address("other.internal", false, inner).expect_err("another name for it");
        let local = IpAddr::V6(Ipv6Addr::LOCALHOST);
        named.judge_address("localhost", true, local).expect("this machine");
        named.judge_address("localhost", true, inner).expect_err("a localhost elsewhere");
        let refused = named.judge_address("rebind.example", false, local).expect_err("loopback by resolution");
        assert_eq!(refused.to_string(), "rebind.example resolves to ::1, which is loopback");
        // Plain http by a CIDR: every address the name has must be covered.
        let net = Egress::parse(["10.0.0.0/8"]).expect("a CIDR");
        net.judge_address("a.example", true, inner).expect("covered");
        net.judge_address("a.example", true, IpAddr::V4(Ipv4Addr::new(93, 184, 215, 14)))
            .expect_err("public and plain");
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_refused_with_what_it_may_be() {
        for entry in ["", ".", "10.0.0.0/33", "http://x", "a b", "*", "host:80"] {
            let error = Egress::parse([entry]).expect_err(entry);
            assert!(error.to_string().contains("CIDR"), "{error}");
        }
    }
}
