//! The URL of a management API, with its user.

use std::path::PathBuf;

use carrot::config::Secret;
use percent_encoding::percent_decode_str;

use crate::http::is_address;

/// Where a management API is, and as whom to ask it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ManagementUrl {
    /// The URL without the user, and without a slash at its end.
    pub(crate) base: String,
    pub(crate) user: String,
    pub(crate) password: Secret,
    /// Whether the URL has the password itself.
    pub(crate) has_password: bool,
    /// Files with the authorities that are trusted, in place of those of the system.
    pub(crate) authorities: Vec<PathBuf>,
}

impl ManagementUrl {
    /// Parses `http://user:password@host:port/path`. The user and the password default to guest.
    /// `https://` can have the option `cacertfile`, several times, as `amqps://`.
    ///
    /// # Errors
    /// The reason, which repeats nothing of the URL: a password may stand anywhere in it.
    pub(crate) fn parse(url: &str) -> Result<ManagementUrl, &'static str> {
        let (scheme, rest) = url.split_once("://").ok_or("the URL needs http:// or https://")?;
        if !matches!(scheme, "http" | "https") {
            return Err("the URL needs http:// or https://");
        }
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(r, q)| (r, Some(q)));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, authority),
        };
        if !is_address(address) {
            return Err("the URL has no host, or a port that is no number; \
                 a slash in a password has to be %2F");
        }
        let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b"/-._~%".contains(&octet);
        if !path.bytes().all(is_plain) {
            return Err("the path of the URL has other characters than letters, digits and /-._~%");
        }
        let decoded = |text: &str| decode(text).ok_or("the user of the URL is not UTF-8");
        let (user, password) = match user.map(|user| user.split_once(':').ok_or(user)) {
            None => ("guest".into(), None),
            Some(Err(user)) => (decoded(user)?, None),
            Some(Ok((user, password))) => (decoded(user)?, Some(decoded(password)?)),
        };
        if user.contains(':') {
            return Err("HTTP has no users with a colon in their name");
        }
        Ok(ManagementUrl {
            base: format!("{scheme}://{address}{}", path.trim_end_matches('/')),
            has_password: password.is_some(),
            password: password.unwrap_or_else(|| "guest".into()).into(),
            user,
            authorities: query.map_or(Ok(Vec::new()), |query| authorities(scheme, query))?,
        })
    }
}

/// Returns the files that the options of a URL name.
fn authorities(scheme: &str, query: &str) -> Result<Vec<PathBuf>, &'static str> {
    if scheme != "https" {
        return Err("the URL has options, and only https:// has one: cacertfile");
    }
    let file = |option: &str| {
        let file = option.strip_prefix("cacertfile=").filter(|file| !file.is_empty());
        let file = file.ok_or("the URL has an option other than cacertfile=FILE")?;
        let file = decode(file).ok_or("cacertfile in the URL is not UTF-8")?;
        Ok(PathBuf::from(file))
    };
    query.split('&').map(file).collect()
}

fn decode(text: &str) -> Option<String> {
    Some(percent_decode_str(text).decode_utf8().ok()?.into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    fn parts(url: &str) -> (String, String, String, bool) {
        let ManagementUrl { base, user, password, has_password, .. } =
            ManagementUrl::parse(url).unwrap();
        (base, user, password.reveal().into(), has_password)
    }

    #[test]
    fn url_is_split_into_address_and_user() {
        let expected = |base: &str, user: &str, password: &str, has_password| {
            (base.to_string(), user.to_string(), password.to_string(), has_password)
        };
        assert_eq!(
            parts("http://ann:a%40b%2f@host:15672/"),
            expected("http://host:15672", "ann", "a@b/", true)
        );
        assert_eq!(
            parts("https://[::1]:15671/mq/"),
            expected("https://[::1]:15671/mq", "guest", "guest", false)
        );
        assert_eq!(parts("http://ann@host"), expected("http://host", "ann", "guest", false));
    }

    #[test]
    fn url_names_the_files_of_authorities() {
        let url = ManagementUrl::parse("https://host:15671/mq?cacertfile=%2Fa+b.pem&cacertfile=c");
        let url = url.unwrap();
        assert_eq!(url.base, "https://host:15671/mq");
        assert_eq!(url.authorities, [PathBuf::from("/a+b.pem"), PathBuf::from("c")]);
    }

    #[test]
    fn url_that_cannot_be_used_is_refused_without_its_text() {
        for wrong in [
            "",
            "host:15672",
            "amqp://host",
            "http://",
            "http://:15672",
            "http://host:99999",
            "http://host:+1",
            "http://ann:hush/9@host",
            "http://host/a?hush",
            "http://host?cacertfile=hush",
            "https://host?verify=hush",
            "https://host?cacertfile=",
            "https://host?cacertfile=hush%ff",
            "https://ann:hush?9@host",
            "http://[hush]",
            "http://a%3Ab@host",
            "http://host name",
            "http://host/\r\nhush",
            "http://%ff@host",
        ] {
            let reason = ManagementUrl::parse(wrong).unwrap_err();
            assert!(!reason.contains("hush"), "{wrong}: {reason}");
        }
    }
}
