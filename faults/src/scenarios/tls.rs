use std::fs;
use std::path::Path;
use std::time::Duration;

use carrot::{
    ConnectionOptions, Error,
    config::{Pem, TlsOptions},
};

use super::Context;
use crate::outcome::with_sources;
use crate::{Authority, Ledger, Node, Outcome, Result, Watch};

const DEADLINE: Duration = Duration::from_secs(5);
const TIDY_WITHIN: Duration = Duration::from_secs(10);

/// Connects in every wrong way: each is refused within the deadline, by an error that says why.
pub(super) fn run(context: &mut Context) -> Result<Outcome> {
    context.with_node(|context, node| {
        let ledger = context.ledger();
        let watch = Watch::start();
        let mut cases = Cases { ledger: &ledger, outcome: Outcome::default() };
        let stranger = Authority::new("an authority that nobody trusts")?;
        let trusting = |authority: &str| TlsOptions::new().authority(Pem::text(authority));
        let own = TlsOptions::new().authority(Pem::file(node.file("tls/ca.pem")));

        cases.accepted("all is right", &node.tls_options());
        cases.refused(
            "wrong authority",
            &node.tls_options().tls(trusting(stranger.certificate())),
            &["UnknownIssuer"],
        );
        cases.refused(
            "the platform's authorities",
            &node.tls_options().tls(TlsOptions::new()),
            &["UnknownIssuer", "no authority"],
        );
        let wrong_name = node.tls_options().tls(own.clone().server_name("broker.example"));
        cases.refused("wrong host name", &wrong_name, &["not valid for", "NotValidForName"]);
        cases.refused(
            "plain to the TLS port",
            &node.options().port(node.tls_port()),
            &["TLS", "protocol", "AMQP"],
        );
        cases.refused(
            "TLS to the plain port",
            &node.tls_options().port(node.port()),
            &["InvalidContentType", "corrupt message"],
        );

        with_expired_certificate(node, &stranger, || {
            let options = node.tls_options().tls(trusting(stranger.certificate()));
            cases.refused("expired certificate", &options, &["expired", "Expired"]);
        })?;
        cases.accepted("all is right again", &node.tls_options());

        with_client_certificates_required(node, || {
            cases.refused(
                "no client certificate",
                &node.tls_options(),
                &["CertificateRequired", "certificate required"],
            );
            let identity =
                (Pem::file(node.file("tls/client.pem")), Pem::file(node.file("tls/client.key")));
            cases.accepted(
                "a client certificate",
                &node.tls_options().tls(own.clone().identity(identity.0, identity.1)),
            );
        })?;

        let mut outcome = cases.outcome;
        outcome.failures.extend(watch.back_to_before(TIDY_WITHIN).err());
        outcome.audit = ledger.audit();
        outcome.peak = watch.peak();
        outcome.expect_no_late_call();
        Ok(outcome)
    })
}

struct Cases<'a> {
    ledger: &'a Ledger,
    outcome: Outcome,
}

impl Cases<'_> {
    fn connect(&self, options: &ConnectionOptions) -> carrot::Result<()> {
        let options = options.clone().connect_timeout(DEADLINE).call_timeout(DEADLINE);
        let connection = self.ledger.call("connect", DEADLINE, || carrot::connect(options))?;
        self.ledger.call("connection close", DEADLINE, || connection.close())
    }

    fn accepted(&mut self, case: &str, options: &ConnectionOptions) {
        let result = self.connect(options);
        self.outcome.expect(result.is_ok(), || {
            format!(
                "{case}: {}",
                result.err().map_or_else(String::new, |error| with_sources(&error))
            )
        });
    }

    /// A clear error is of a kind that tells of connecting, not of a time-out, and says one of `words`.
    fn refused(&mut self, case: &str, options: &ConnectionOptions, words: &[&str]) {
        match self.connect(options) {
            Ok(()) => self.outcome.failures.push(format!("{case}: it was accepted")),
            Err(error) => {
                let said = with_sources(&error);
                let clear = matches!(error, Error::Connect { .. } | Error::Config { .. })
                    && words.iter().any(|word| said.contains(word));
                self.outcome.expect(clear, || {
                    format!(
                        "{case}: the error does not say so: {}: {said}",
                        crate::ledger::kind(&error)
                    )
                });
                self.outcome.notes.push(format!("{case}: {said}"));
            }
        }
    }
}

fn with_expired_certificate(node: &Node, authority: &Authority, act: impl FnOnce()) -> Result<()> {
    let issued = authority.expired_server("localhost")?;
    let (certificate, key) = (node.file("tls/server.pem"), node.file("tls/server.key"));
    let old = (fs::read_to_string(&certificate)?, fs::read_to_string(&key)?);
    let install = |(new_certificate, new_key): (&str, &str)| -> Result<()> {
        replace(&certificate, new_certificate)?;
        replace(&key, new_key)?;
        node.control(["eval", "ssl:clear_pem_cache()."]).map(drop)
    };
    install((&issued.certificate, &issued.key))?;
    act();
    install((&old.0, &old.1))
}

fn with_client_certificates_required(node: &Node, act: impl FnOnce()) -> Result<()> {
    let configuration = node.file("rabbitmq.conf");
    let old = fs::read_to_string(&configuration)?;
    let restart_with = |new: &str| -> Result<()> {
        replace(&configuration, new)?;
        node.kill()?;
        node.restart()
    };
    restart_with(&old.replace("fail_if_no_peer_cert = false", "fail_if_no_peer_cert = true"))?;
    act();
    restart_with(&old)
}

/// Replaces a file in one step: nobody reads half of it.
fn replace(path: &Path, content: &str) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, content)?;
    Ok(fs::rename(new, path)?)
}
