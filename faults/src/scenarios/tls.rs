use std::fs;
use std::path::Path;
use std::time::Duration;

use carrot::{
    ConnectionOptions, Error,
    config::{Pem, TlsOptions},
};

use super::context::Context;
use crate::accounting::Accounting;
use crate::authority::CertificateAuthority;
use crate::error::Result;
use crate::error::with_sources;
use crate::monitor::ResourceMonitor;
use crate::node::BrokerNode;
use crate::outcome::ScenarioOutcome;

const DEADLINE: Duration = Duration::from_secs(5);
const RELEASED_WITHIN: Duration = Duration::from_secs(10);

/// Connects with every wrong TLS setting. Each connect has to fail within the deadline, with an
/// error that names the cause.
pub(super) fn run(context: &mut Context) -> Result<ScenarioOutcome> {
    context.with_node(|context, node| {
        let accounting = context.accounting();
        let monitor = ResourceMonitor::start();
        let mut cases = TlsCases { accounting: &accounting, outcome: ScenarioOutcome::default() };
        let untrusted = CertificateAuthority::new("an untrusted authority")?;
        let trusting = |authority: &str| TlsOptions::new().authority(Pem::text(authority));
        let own = TlsOptions::new().authority(Pem::file(node.file("tls/ca.pem")));

        cases.accepted("valid settings", &node.tls_options());
        cases.refused(
            "wrong authority",
            &node.tls_options().tls(trusting(untrusted.certificate())),
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

        with_expired_certificate(node, &untrusted, || {
            let options = node.tls_options().tls(trusting(untrusted.certificate()));
            cases.refused("expired certificate", &options, &["expired", "Expired"]);
        })?;
        cases.accepted("valid settings after the expired certificate", &node.tls_options());

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
        outcome.failures.extend(monitor.wait_until_released(RELEASED_WITHIN).err());
        outcome.audit = accounting.audit();
        outcome.peak = monitor.peak();
        outcome.expect_no_overdue_call();
        Ok(outcome)
    })
}

struct TlsCases<'a> {
    accounting: &'a Accounting,
    outcome: ScenarioOutcome,
}

impl TlsCases<'_> {
    fn connect(&self, options: &ConnectionOptions) -> carrot::Result<()> {
        let options = options.clone().connect_timeout(DEADLINE).call_timeout(DEADLINE);
        let connection = self.accounting.call("connect", DEADLINE, || carrot::connect(options))?;
        self.accounting.call("connection close", DEADLINE, || connection.close())
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

    /// Checks that the connect fails with `Connect` or `Config`, and that the text of the error
    /// contains one of `words`.
    fn refused(&mut self, case: &str, options: &ConnectionOptions, words: &[&str]) {
        match self.connect(options) {
            Ok(()) => self.outcome.failures.push(format!("{case}: the connect succeeded")),
            Err(error) => {
                let text = with_sources(&error);
                let clear = matches!(error, Error::Connect { .. } | Error::Config { .. })
                    && words.iter().any(|word| text.contains(word));
                self.outcome.expect(clear, || {
                    format!(
                        "{case}: the error does not name the cause: {}: {text}",
                        crate::error::variant_name(&error)
                    )
                });
                self.outcome.notes.push(format!("{case}: {text}"));
            }
        }
    }
}

fn with_expired_certificate(
    node: &BrokerNode,
    authority: &CertificateAuthority,
    act: impl FnOnce(),
) -> Result<()> {
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

fn with_client_certificates_required(node: &BrokerNode, act: impl FnOnce()) -> Result<()> {
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

/// Replaces a file in one step, so the node never reads an incomplete file.
fn replace(path: &Path, content: &str) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, content)?;
    Ok(fs::rename(new, path)?)
}
