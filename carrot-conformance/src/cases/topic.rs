//! Topic exchanges: words, `*` and `#`.

use std::time::{Duration, Instant};

use crate::support::*;

/// Binds a queue with `pattern`, publishes with every key, and asserts which of them arrive, in the order of publishing.
fn matches(harness: &dyn Harness, pattern: &str, keys: &[&str], wanted: &[&str]) {
    let stage = Stage::new(harness);
    let exchange = stage.topic();
    let queue = stage.bound(&exchange, pattern);
    for key in keys {
        stage.channel.send(&exchange, key, key);
    }
    let mut matched = Vec::new();
    while let Some(delivery) = stage.channel.get(&queue, Acknowledgement::Automatic).expect("get") {
        matched.push(body(&delivery));
    }
    assert_eq!(matched, wanted, "what matches {pattern:?}");
}

pub(crate) fn a_pattern_without_wildcards_matches_its_own_key(harness: &dyn Harness) {
    matches(
        harness,
        "usd.stock",
        &["usd.stock", "usd", "usd.stock.db", "usd.stoc", "stock.usd", ""],
        &["usd.stock"],
    );
}

pub(crate) fn a_star_matches_exactly_one_word(harness: &dyn Harness) {
    matches(
        harness,
        "*.stock",
        &["usd.stock", "stock", "a.b.stock", "eur.stock", ".stock"],
        &["usd.stock", "eur.stock", ".stock"],
    );
}

pub(crate) fn a_lonely_star_matches_every_single_word(harness: &dyn Harness) {
    matches(harness, "*", &["word", "two.words", "", "*", "#"], &["word", "*", "#"]);
}

pub(crate) fn a_star_matches_an_empty_word(harness: &dyn Harness) {
    matches(harness, "a.*.b", &["a..b", "a.b", "a.x.b", "a...b"], &["a..b", "a.x.b"]);
}

pub(crate) fn a_hash_matches_zero_or_more_words(harness: &dyn Harness) {
    matches(
        harness,
        "a.#.b",
        &["a.b", "a.x.b", "a.x.y.b", "a..b", "a", "b", "a.b.c", "xa.b"],
        &["a.b", "a.x.b", "a.x.y.b", "a..b"],
    );
}

pub(crate) fn a_trailing_hash_matches_the_words_before_it_alone(harness: &dyn Harness) {
    matches(
        harness,
        "a.#",
        &["a", "a.b", "a.b.c", "ab", "b.a", "a."],
        &["a", "a.b", "a.b.c", "a."],
    );
}

pub(crate) fn a_leading_hash_matches_the_words_after_it_alone(harness: &dyn Harness) {
    matches(harness, "#.z", &["z", "y.z", "x.y.z", "z.y", ".z"], &["z", "y.z", "x.y.z", ".z"]);
}

pub(crate) fn a_lonely_hash_matches_everything(harness: &dyn Harness) {
    matches(harness, "#", &["", "a", "a.b", ".", "..."], &["", "a", "a.b", ".", "..."]);
}

pub(crate) fn the_empty_pattern_matches_the_empty_key_only(harness: &dyn Harness) {
    matches(harness, "", &["", "a", "."], &[""]);
}

pub(crate) fn star_and_hash_work_together(harness: &dyn Harness) {
    matches(
        harness,
        "*.stock.#",
        &["usd.stock", "eur.stock.db", "stock.nasdaq", "usd.stock.a.b", "a.usd.stock"],
        &["usd.stock", "eur.stock.db", "usd.stock.a.b"],
    );
}

pub(crate) fn a_hash_beside_a_star_wants_at_least_one_word(harness: &dyn Harness) {
    matches(harness, "#.*", &["", "a", "a.b", "a.b.c"], &["a", "a.b", "a.b.c"]);
    matches(harness, "*.#", &["", "a", "a.b", "a.b.c"], &["a", "a.b", "a.b.c"]);
}

pub(crate) fn several_hashes_match_what_one_does(harness: &dyn Harness) {
    matches(harness, "#.#", &["", "a", "a.b", "a.b.c"], &["", "a", "a.b", "a.b.c"]);
    matches(
        harness,
        "#.x.#",
        &["x", "a.x", "x.a", "a.x.b", "a.b", ""],
        &["x", "a.x", "x.a", "a.x.b"],
    );
}

pub(crate) fn wildcards_are_whole_words_only(harness: &dyn Harness) {
    matches(harness, "a*.b#", &["a*.b#", "ax.b", "ax.bx", "a.b"], &["a*.b#"]);
}

pub(crate) fn wildcards_in_a_routing_key_are_plain_words(harness: &dyn Harness) {
    matches(harness, "a.b", &["a.*", "a.#", "#", "a.b"], &["a.b"]);
    matches(harness, "a.*", &["a.*", "a.#"], &["a.*", "a.#"]);
}

pub(crate) fn topic_words_are_compared_exactly(harness: &dyn Harness) {
    matches(harness, "Größe.ß", &["Größe.ß", "größe.ß", "Größe.ss"], &["Größe.ß"]);
}

pub(crate) fn a_queue_whose_patterns_both_match_gets_one_copy(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.topic();
    let queue = stage.bound(&exchange, "x.#");
    stage.bind(&exchange, &queue, "#.x");
    stage.channel.send(&exchange, "x.x", "once");
    stage.channel.drain(&queue, ["once"]);
}

pub(crate) fn an_unbound_pattern_leaves_the_overlapping_one(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.topic();
    let queue = stage.bound(&exchange, "a.*");
    stage.bind(&exchange, &queue, "a.#");
    stage.channel.unbind(&Binding::queue(&exchange, &queue, "a.*"));
    stage.channel.send(&exchange, "a.b", "still there");
    stage.channel.drain(&queue, ["still there"]);
    stage.channel.unbind(&Binding::queue(&exchange, &queue, "a.#"));
    stage.channel.send(&exchange, "a.b", "gone");
    stage.channel.empty(&queue);
}

pub(crate) fn many_hashes_against_a_long_key_do_not_take_for_ever(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.topic();
    // RabbitMQ itself takes very long from about six on.
    let pattern = ["#"; 4].join(".a.");
    let queue = stage.bound(&exchange, &pattern);
    let start = Instant::now();
    stage.channel.send(&exchange, &["a"; 20].join("."), "matches");
    stage.channel.send(&exchange, &["b"; 20].join("."), "does not");
    assert!(start.elapsed() < Duration::from_secs(5), "routing took {:?}", start.elapsed());
    stage.channel.drain(&queue, ["matches"]);
}
