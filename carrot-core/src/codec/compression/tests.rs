#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;
use crate::codec::Codec;

const MIB: usize = 1 << 20;

fn methods() -> impl Iterator<Item = Method> {
    Method::ALL.into_iter().filter(|method| method.is_on())
}

/// Returns text that shrinks, and that no method encodes as one repetition.
fn text(length: usize) -> Vec<u8> {
    (0_u32..)
        .flat_map(|number| format!("{} ", number.wrapping_mul(2_654_435_761) % 9973).into_bytes())
        .take(length)
        .collect()
}

#[track_caller]
fn reason_of(result: Result<Vec<u8>>) -> String {
    match result {
        Err(Error::Inflate { reason, .. }) => {
            assert!(!reason.contains("panic"), "{reason}");
            reason.into_owned()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn body_survives_each_compression() {
    for method in methods() {
        for length in [0, 1, 2, 100, 1000, 128 * 1024, 128 * 1024 + 1, 140_000] {
            for body in
                [text(length), vec![7; length], (0..length).map(|_| fastrand::u8(..)).collect()]
            {
                let compressed = method.compress(&body).unwrap();
                assert!(
                    method.inflate(&compressed, body.len() as u64).unwrap() == body,
                    "{method:?}"
                );
            }
        }
    }
}

#[test]
fn body_over_the_limit_is_refused_and_takes_no_more_memory() {
    for method in methods() {
        let bomb = method.compress(&vec![0; 4 * MIB]).unwrap();
        assert!(bomb.len() < 10_000, "{method:?}: {}", bomb.len());
        for limit in [0, 1, MIB - 1, 4 * MIB - 1] {
            let result = method.inflate(&bomb, limit as u64);
            assert!(
                matches!(&result, Err(Error::TooLarge { limit: named, .. }) if *named == limit as u64),
                "{method:?}: {:?}",
                result.map(|body| body.len())
            );
        }
        let exact = method.compress(&[0; 5000]).unwrap();
        assert_eq!(method.inflate(&exact, 5000).unwrap().len(), 5000);
        assert!(matches!(method.inflate(&exact, 4999), Err(Error::TooLarge { .. })));
    }
}

#[test]
fn output_capacity_never_exceeds_the_limit() {
    let mut output = output::Output::new(100_000);
    for _ in 0..10 {
        output.push(&[0; 9_999]).unwrap();
    }
    assert!(matches!(output.push(&[0; 11]), Err(output::InflateFault::TooLarge)));
    output.push(&[0; 10]).unwrap();
    let bytes = output.into_bytes();
    assert_eq!((bytes.len(), bytes.capacity()), (100_000, 100_000));
}

#[test]
fn truncated_body_is_refused() {
    for method in methods() {
        let compressed = method.compress(&text(3000)).unwrap();
        for end in 0..compressed.len() {
            let reason = reason_of(method.inflate(&compressed[..end], 1 << 20));
            assert!(!reason.is_empty(), "{method:?} at {end}");
        }
    }
}

#[test]
fn bytes_after_the_compressed_data_are_refused() {
    for method in methods() {
        let compressed = method.compress(b"a body").unwrap();
        for trailing in [&b"x"[..], b"\0", b"\x1f\x8b", b"trailing bytes of some length"] {
            reason_of(method.inflate(&[&compressed, trailing].concat(), 1 << 20));
        }
    }
}

/// Brotli has no checksum: a changed bit may go unnoticed.
#[test]
fn body_with_a_flipped_bit_is_refused_or_unchanged_where_a_checksum_exists() {
    let body = text(600);
    for method in methods() {
        let compressed = method.compress(&body).unwrap();
        for bit in 0..8 * compressed.len() {
            let mut changed = compressed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            match method.inflate(&changed, 1 << 20) {
                Ok(read) => assert!(method == Method::Brotli || read == body, "{method:?} {bit}"),
                Err(Error::TooLarge { .. }) => {}
                result => drop(reason_of(result)),
            }
        }
    }
}

#[test]
fn members_are_inflated_and_counted_together() {
    for method in methods().filter(|method| !matches!(method, Method::Zlib | Method::Brotli)) {
        let member = method.compress(&[1; 1000]).unwrap();
        let three = member.repeat(3);
        assert_eq!(method.inflate(&three, 3000).unwrap(), vec![1; 3000], "{method:?}");
        assert!(matches!(method.inflate(&three, 2999), Err(Error::TooLarge { .. })));
        let empty = method.compress(b"").unwrap();
        assert_eq!(method.inflate(&empty.repeat(1000), 0).unwrap(), b"");
        let reason = reason_of(method.inflate(&empty.repeat(1001), 0));
        assert!(reason.contains("1000 members"), "{reason}");
    }
}

#[cfg(feature = "gzip")]
#[test]
fn gzip_under_the_name_of_zlib_is_inflated() {
    let gzip = Method::Gzip.compress(b"a body").unwrap();
    assert_eq!(Method::Zlib.inflate(&gzip, 100).unwrap(), b"a body");
    reason_of(Method::Gzip.inflate(&Method::Zlib.compress(b"a body").unwrap(), 100));
}

#[cfg(feature = "zstd")]
#[test]
fn zstd_window_over_8_mib_is_refused() {
    let frame = |exponent: u8| {
        [&[0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3][..], &[1 + (3 << 3), 0, 0], b"abc"].concat()
    };
    assert_eq!(Method::Zstd.inflate(&frame(13), 3).unwrap(), b"abc");
    assert!(reason_of(Method::Zstd.inflate(&frame(14), 3)).contains("too much memory"));
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9][..], &frame(0)].concat();
    assert_eq!(Method::Zstd.inflate(&skipped, 3).unwrap(), b"abc");
    reason_of(Method::Zstd.inflate(&[0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff], 3));
}

/// kombu writes such frames.
#[cfg(feature = "zstd")]
#[test]
fn zstd_frame_without_a_checksum_is_inflated_also_if_it_was_changed() {
    let frame = |body: &[u8; 3]| {
        [&[0x28, 0xb5, 0x2f, 0xfd, 0, 0][..], &[1 + (3 << 3), 0, 0], body].concat()
    };
    assert_eq!(Method::Zstd.inflate(&frame(b"abc"), 3).unwrap(), b"abc");
    assert_eq!(Method::Zstd.inflate(&frame(b"abb"), 3).unwrap(), b"abb");
    let mut compressor = ::zstd::bulk::Compressor::new(3).unwrap();
    let unchecked = compressor.compress(b"abc").unwrap();
    let checked = Method::Zstd.compress(b"abc").unwrap();
    let has_checksum = |frame: &[u8]| frame[4] & 4 != 0;
    assert!(!has_checksum(&unchecked) && has_checksum(&checked));
    assert_eq!(checked.len(), unchecked.len() + 4);
    let mut changed = checked.clone();
    changed[checked.len() - 5] ^= 1;
    reason_of(Method::Zstd.inflate(&changed, 3));
}

#[cfg(feature = "zstd")]
#[test]
fn zstd_frame_holds_the_size_of_its_content() {
    let compressed = Method::Zstd.compress(&text(70_000)).unwrap();
    let size = ::zstd::zstd_safe::get_frame_content_size(&compressed);
    assert_eq!(size.unwrap(), Some(70_000));
}

#[cfg(feature = "brotli")]
#[test]
fn brotli_with_a_large_window_is_refused() {
    let params = ::brotli::enc::BrotliEncoderParams {
        large_window: true,
        lgwin: 28,
        quality: 5,
        ..Default::default()
    };
    let mut compressed = Vec::new();
    ::brotli::BrotliCompress(&mut &text(5000)[..], &mut compressed, &params).unwrap();
    reason_of(Method::Brotli.inflate(&compressed, 1 << 20));
}

#[test]
fn small_body_and_body_that_does_not_shrink_are_sent_unchanged() {
    for method in methods() {
        let compression = Compression::new(method);
        let sent = |compression: &Compression, body: &[u8], properties: Properties| {
            let (mut properties, mut body) = (properties, Body::from(body));
            compression.compress_content(&mut properties, &mut body).unwrap();
            (properties, body)
        };
        let random: Vec<u8> = (0..5000).map(|_| fastrand::u8(..)).collect();
        for (compression, body) in [
            (compression, &b"word".repeat(256)[..1023]),
            (compression.at_least(5001), &text(5000)),
            (compression, &random),
            (compression.at_least(0), b""),
        ] {
            let (properties, same) = sent(&compression, body, Properties::new());
            assert!(properties.headers().is_none() && *same == *body, "{method:?}");
        }
        let own = Properties::new().with_header(HEADER, "mine");
        let (properties, same) = sent(&compression, &text(5000), own);
        assert!(properties.header(HEADER).and_then(|value| value.as_str()) == Some("mine"));
        assert_eq!(same.len(), 5000);

        let (properties, smaller) = sent(&compression, &b"word".repeat(256), Properties::new());
        let header = properties.header(HEADER).and_then(|value| value.as_str()).unwrap();
        assert_eq!(header, method.header());
        assert!(smaller.len() < 1024);
        let named = Method::of_header_value(header).unwrap().unwrap();
        assert_eq!(named.inflate(&smaller, 1024).unwrap(), b"word".repeat(256));
    }
}

#[test]
fn feature_that_is_off_is_named() {
    for method in Method::ALL.into_iter().filter(|method| !method.is_on()) {
        let feature = format!("the feature {} of carrot is off", method.feature());
        assert_eq!(reason_of(method.inflate(b"x", 100)), feature);
        let json = format!("{:?}", method.name());
        let error = serde_json::from_str::<Compression>(&json).unwrap_err().to_string();
        assert!(error.contains(&format!("feature {}", method.feature())), "{error}");
    }
}

#[test]
fn compressed_codec_survives_a_round_trip() {
    for method in methods() {
        let compression = Compression::new(method);
        for codec in [Codec::json(), Codec::text(), Codec::raw()] {
            let codec = codec.compressed(Compression::new(Method::Gzip)).compressed(compression);
            let body = codec.encode("a text").unwrap();
            assert_eq!(codec.decode::<String>(&body).unwrap(), "a text", "{codec:?}");
            assert!(matches!(codec.decode::<String>(b"a text"), Err(Error::Inflate { .. })));
            assert_eq!(codec.content_encoding(), Some(method.content_encoding()));
            assert!(codec.accepts(codec.content_type(), codec.content_encoding()));
            assert!(!codec.accepts(codec.content_type(), Some("utf-8")));
        }
        let text = Codec::text().compressed(compression);
        assert_eq!(text.content_type(), "text/plain; charset=utf-8");
    }
}

proptest! {
    #[test]
    fn any_body_survives_each_compression(body in proptest::collection::vec(0_u8..20, 0..5000)) {
        for method in methods() {
            let compressed = method.compress(&body).unwrap();
            prop_assert_eq!(&method.inflate(&compressed, 5000).unwrap(), &body);
        }
    }

    #[test]
    fn any_bytes_are_inflated_or_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6),
    ) {
        for method in methods() {
            let mut changed = method.compress(&text(2000)).unwrap();
            for (at, byte) in &changes {
                let length = changed.len();
                changed[at % length] = *byte;
            }
            for body in [&bytes[..], &changed] {
                match method.inflate(body, 10_000) {
                    Ok(read) => prop_assert!(read.len() <= 10_000),
                    Err(Error::TooLarge { .. }) => {}
                    result => drop(reason_of(result)),
                }
            }
        }
    }
}
