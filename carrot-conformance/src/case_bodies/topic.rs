//! Topic exchanges: words, `*` and `#`.

use std::time::{Duration, Instant};

use crate::support::*;

/// Binds a queue with `pattern`, publishes with every key, and asserts that the messages with the
/// keys `expected` arrive, in FIFO order.
fn expect_matches(harness: &dyn Harness, pattern: &str, keys: &[&str], expected: &[&str]) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.topic_exchange();
    let queue = fixture.bound_queue(&exchange, pattern);
    for key in keys {
        fixture.channel.send(&exchange, key, key);
    }
    let mut matched = Vec::new();
    while let Some(delivery) =
        fixture.channel.get(&queue, Acknowledgement::Automatic, DEADLINE).expect("get")
    {
        matched.push(body(&delivery));
    }
    assert_eq!(matched, expected, "the keys that match {pattern:?}");
}

pub(crate) fn a_pattern_without_wildcards_matches_its_own_key(harness: &dyn Harness) {
    expect_matches(
        harness,
        "usd.stock",
        &["usd.stock", "usd", "usd.stock.db", "usd.stoc", "stock.usd", ""],
        &["usd.stock"],
    );
}

pub(crate) fn a_star_matches_exactly_one_word(harness: &dyn Harness) {
    expect_matches(
        harness,
        "*.stock",
        &["usd.stock", "stock", "a.b.stock", "eur.stock", ".stock"],
        &["usd.stock", "eur.stock", ".stock"],
    );
}

pub(crate) fn a_single_star_matches_every_single_word(harness: &dyn Harness) {
    expect_matches(harness, "*", &["word", "two.words", "", "*", "#"], &["word", "*", "#"]);
}

pub(crate) fn a_star_matches_an_empty_word(harness: &dyn Harness) {
    expect_matches(harness, "a.*.b", &["a..b", "a.b", "a.x.b", "a...b"], &["a..b", "a.x.b"]);
}

pub(crate) fn a_hash_matches_zero_or_more_words(harness: &dyn Harness) {
    expect_matches(
        harness,
        "a.#.b",
        &["a.b", "a.x.b", "a.x.y.b", "a..b", "a", "b", "a.b.c", "xa.b"],
        &["a.b", "a.x.b", "a.x.y.b", "a..b"],
    );
}

pub(crate) fn a_trailing_hash_matches_zero_words(harness: &dyn Harness) {
    expect_matches(
        harness,
        "a.#",
        &["a", "a.b", "a.b.c", "ab", "b.a", "a."],
        &["a", "a.b", "a.b.c", "a."],
    );
}

pub(crate) fn a_leading_hash_matches_zero_words(harness: &dyn Harness) {
    expect_matches(
        harness,
        "#.z",
        &["z", "y.z", "x.y.z", "z.y", ".z"],
        &["z", "y.z", "x.y.z", ".z"],
    );
}

pub(crate) fn a_single_hash_matches_every_key(harness: &dyn Harness) {
    expect_matches(harness, "#", &["", "a", "a.b", ".", "..."], &["", "a", "a.b", ".", "..."]);
}

pub(crate) fn the_empty_pattern_matches_the_empty_key_only(harness: &dyn Harness) {
    expect_matches(harness, "", &["", "a", "."], &[""]);
}

pub(crate) fn star_and_hash_work_together(harness: &dyn Harness) {
    expect_matches(
        harness,
        "*.stock.#",
        &["usd.stock", "eur.stock.db", "stock.nasdaq", "usd.stock.a.b", "a.usd.stock"],
        &["usd.stock", "eur.stock.db", "usd.stock.a.b"],
    );
}

pub(crate) fn a_hash_beside_a_star_matches_at_least_one_word(harness: &dyn Harness) {
    expect_matches(harness, "#.*", &["", "a", "a.b", "a.b.c"], &["a", "a.b", "a.b.c"]);
    expect_matches(harness, "*.#", &["", "a", "a.b", "a.b.c"], &["a", "a.b", "a.b.c"]);
}

pub(crate) fn several_hashes_match_the_same_keys_as_one(harness: &dyn Harness) {
    expect_matches(harness, "#.#", &["", "a", "a.b", "a.b.c"], &["", "a", "a.b", "a.b.c"]);
    expect_matches(
        harness,
        "#.x.#",
        &["x", "a.x", "x.a", "a.x.b", "a.b", ""],
        &["x", "a.x", "x.a", "a.x.b"],
    );
}

pub(crate) fn wildcards_are_whole_words_only(harness: &dyn Harness) {
    expect_matches(harness, "a*.b#", &["a*.b#", "ax.b", "ax.bx", "a.b"], &["a*.b#"]);
}

pub(crate) fn wildcards_in_a_routing_key_are_plain_words(harness: &dyn Harness) {
    expect_matches(harness, "a.b", &["a.*", "a.#", "#", "a.b"], &["a.b"]);
    expect_matches(harness, "a.*", &["a.*", "a.#"], &["a.*", "a.#"]);
}

pub(crate) fn topic_words_are_compared_exactly(harness: &dyn Harness) {
    expect_matches(harness, "Größe.ß", &["Größe.ß", "größe.ß", "Größe.ss"], &["Größe.ß"]);
}

pub(crate) fn a_queue_bound_with_two_matching_patterns_receives_one_copy(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.topic_exchange();
    let queue = fixture.bound_queue(&exchange, "x.#");
    fixture.bind(&exchange, &queue, "#.x");
    fixture.channel.send(&exchange, "x.x", "once");
    fixture.channel.expect_messages(&queue, ["once"]);
}

pub(crate) fn unbinding_a_pattern_keeps_an_overlapping_one(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.topic_exchange();
    let queue = fixture.bound_queue(&exchange, "a.*");
    fixture.bind(&exchange, &queue, "a.#");
    fixture.channel.unbind(&Binding::queue(&exchange, &queue, "a.*"));
    fixture.channel.send(&exchange, "a.b", "still there");
    fixture.channel.expect_messages(&queue, ["still there"]);
    fixture.channel.unbind(&Binding::queue(&exchange, &queue, "a.#"));
    fixture.channel.send(&exchange, "a.b", "gone");
    fixture.channel.expect_empty(&queue);
}

pub(crate) fn many_hashes_and_a_long_key_are_matched_within_five_seconds(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.topic_exchange();
    // Releases without a limit are very slow with about six or more hashes.
    let hashes = match ReleaseAnswer::TopicKeysMayHaveManyHashes.is_expected(harness) {
        true => 4,
        false => 2,
    };
    let pattern = vec!["#"; hashes].join(".a.");
    let queue = fixture.bound_queue(&exchange, &pattern);
    let start = Instant::now();
    fixture.channel.send(&exchange, &["a"; 20].join("."), "matches");
    fixture.channel.send(&exchange, &["b"; 20].join("."), "does not");
    assert!(start.elapsed() < Duration::from_secs(5), "routing took {:?}", start.elapsed());
    fixture.channel.expect_messages(&queue, ["matches"]);
}

pub(crate) fn the_hashes_of_a_topic_binding_are_limited_or_not(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (exchange, queue) = (fixture.topic_exchange(), fixture.queue());
    let bound = fixture.open().bind(&Binding::queue(&*exchange, &*queue, "#.a.#.b.#")).map(drop);
    match ReleaseAnswer::TopicKeysMayHaveManyHashes.is_expected(harness) {
        true => bound.expect("bind"),
        false => assert_error!(bound, Error::PreconditionFailed { .. }),
    }
    // A hash in a longer word is no wildcard.
    fixture.bind(&exchange, &queue, "#.x#.#y.#");
    let other = fixture.direct_exchange();
    fixture.bind(&other, &queue, "#.#.#");
}
