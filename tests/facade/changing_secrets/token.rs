//! Tokens of OAuth 2, signed with the key of the test node.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

/// Returns a token that allows everything, for this time from now.
pub(super) fn valid_for(duration: Duration) -> String {
    let expires = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + duration;
    let header = json!({"alg": "RS256", "typ": "JWT"});
    let claims = json!({
        "sub": "shop",
        "aud": ["carrot"],
        "exp": expires.as_secs(),
        "scope": ["carrot.read:*/*", "carrot.write:*/*", "carrot.configure:*/*"],
    });
    let signed = format!(
        "{}.{}",
        base64_url(header.to_string().as_bytes()),
        base64_url(claims.to_string().as_bytes())
    );
    let signature = base64_url(&sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn sign(bytes: &[u8]) -> Vec<u8> {
    let key = std::env::var("CARROT_TEST_TOKEN_KEY")
        .expect("CARROT_TEST_TOKEN_KEY has to name a file; ./scripts/test does so");
    let mut openssl = Command::new("openssl")
        .args(["dgst", "-sha256", "-sign", &key])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    openssl.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = openssl.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

fn base64_url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits =
            (0..3).fold(0_u32, |bits, at| bits << 8 | u32::from(*three.get(at).unwrap_or(&0)));
        for digit in 0..=three.len() {
            let index = bits >> (18 - 6 * digit) & 63;
            text.push(DIGITS[index as usize].into());
        }
    }
    text
}
