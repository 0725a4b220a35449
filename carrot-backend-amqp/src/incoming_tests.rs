#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use super::*;

const DELIVER: (u16, u16) = (60, 60);

fn body(channel: u16, payload: &[u8]) -> Vec<u8> {
    frame::whole(CONTENT_BODY, channel, payload)
}

/// What passes of a stream that arrives in pieces of such a size.
fn passed(stream: &[u8], piece: usize) -> Result<Vec<u8>, Refused> {
    let mut incoming = Incoming::default();
    let mut passed = Vec::new();
    stream.chunks(piece).try_for_each(|piece| incoming.pass(piece, &mut passed))?;
    Ok(passed)
}

#[test]
fn a_channel_is_silent_from_its_end_to_its_next_opening() {
    let close = frame::method(2, CHANNEL_CLOSE, b"\x01\x94 and words");
    let late = [
        frame::method(2, DELIVER, b"m1"),
        body(2, b"one"),
        frame::method(2, CHANNEL_CLOSE_OK, b""),
    ]
    .concat();
    let other = [
        frame::method(1, DELIVER, b"m2"),
        body(1, &[7; 300]),
        vec![8, 0, 0, 0, 0, 0, 0, frame::END],
    ]
    .concat();
    let opened = [
        frame::method(2, CHANNEL_OPEN_OK, b"\0\0\0\0"),
        frame::method(2, DELIVER, b"m3"),
        body(2, b"three"),
    ]
    .concat();
    let stream = [&other[..], &close, &late, &other, &late, &opened, &other].concat();
    let expected = [&other[..], &close, &other, &opened, &other].concat();
    for piece in 1..=stream.len() {
        assert_eq!(passed(&stream, piece).unwrap(), expected, "in pieces of {piece}");
    }
}

#[test]
fn answers_to_publications_are_kept_however_they_are_cut() {
    let answer = |channel, method, tag: u64, flags| {
        frame::method(channel, method, &[&tag.to_be_bytes()[..], &[flags]].concat())
    };
    let close = frame::method(1, CHANNEL_CLOSE, b"\x01\x94 and words");
    let others = [frame::method(2, DELIVER, b"m1"), body(2, b"one"), close];
    let returned = frame::method(1, BASIC_RETURN, b"words");
    let stream = [
        &answer(1, BASIC_ACK, 1, 0)[..],
        &answer(1, BASIC_ACK, 5, 1),
        &others[0],
        &answer(2, BASIC_NACK, 1 << 40, 3),
        &others[1],
        &returned,
        &others[2],
        &answer(1, BASIC_ACK, 6, 0),
        &frame::method(1, BASIC_RETURN, b"late"),
        &frame::method(2, CHANNEL_CLOSE_OK, b""),
    ]
    .concat();
    let before_the_close = [&others[0][..], &others[1], &returned].concat();
    let passes =
        [&before_the_close[..], &others[2], &frame::method(2, CHANNEL_CLOSE_OK, b"")].concat();
    let confirm = |tag, multiple, refused| Answer::Confirm(Confirm { tag, multiple, refused });
    for piece in 1..=stream.len() {
        let mut incoming = Incoming::default();
        let mut passed = Vec::new();
        for bytes in stream.chunks(piece) {
            incoming.pass(bytes, &mut passed).unwrap();
            // Nobody hears of an end before amiquip could.
            let by_then = [0, before_the_close.len() + others[2].len(), passes.len()];
            let ended = &incoming.news().ended;
            assert!(
                ended.iter().all(|channel| passed.len() >= by_then[usize::from(*channel)]),
                "in pieces of {piece}"
            );
        }
        assert_eq!(passed, passes, "in pieces of {piece}");
        let News { answers, ended, .. } = incoming.news();
        let expected = [
            (1, confirm(1, false, false)),
            (1, confirm(5, true, false)),
            (2, confirm(1 << 40, true, true)),
            (1, Answer::Return),
        ];
        assert_eq!(
            (&answers[..], &ended[..]),
            (&expected[..], &[1, 2][..]),
            "in pieces of {piece}"
        );
    }
}

#[test]
fn what_the_client_closes_is_none_of_this() {
    let stream =
        [frame::method(1, CHANNEL_CLOSE_OK, b""), frame::method(1, DELIVER, b"m1")].concat();
    assert_eq!(passed(&stream, 5).unwrap(), stream);
}

#[test]
fn what_amiquip_would_not_survive_is_refused_however_it_is_cut() {
    let good = [frame::method(1, DELIVER, b"m1"), header(1, 5), body(1, b"hello")].concat();
    let absurd = [good.clone(), header(1, u64::MAX)].concat();
    let late = [frame::method(1, CHANNEL_CLOSE, b""), header(1, u64::MAX), good.clone()].concat();
    for piece in 1..=absurd.len() {
        assert_eq!(passed(&good, piece).unwrap(), good, "in pieces of {piece}");
        assert!(
            matches!(passed(&absurd, piece), Err(Refused::Large(u64::MAX))),
            "in pieces of {piece}"
        );
        assert_eq!(
            passed(&late, piece).unwrap(),
            frame::method(1, CHANNEL_CLOSE, b""),
            "nobody reads it"
        );
    }
}

/// The header of a message with a content type, and a body of such a size.
fn header(channel: u16, size: u64) -> Vec<u8> {
    let payload = [&[0, 60, 0, 0][..], &size.to_be_bytes(), &[0x80, 0, 1, b'x']].concat();
    frame::whole(CONTENT_HEADER, channel, &payload)
}

/// Reads a stream that arrives in pieces of such a size, as it is asked to; gives what passes, and how much was read in place.
fn read(incoming: &mut Incoming, mut stream: &[u8], piece: usize) -> (Vec<u8>, usize) {
    let (mut passed, mut in_place) = (Vec::new(), 0);
    while !stream.is_empty() {
        let next = &stream[..piece.min(stream.len())];
        let count = match incoming.destination() {
            Destination::Body(room) => {
                let count = room.len().min(next.len());
                room[..count].copy_from_slice(&next[..count]);
                incoming.read(count);
                in_place += count;
                count
            }
            Destination::Buffer(most) => {
                let count = most.min(next.len());
                incoming.pass(&next[..count], &mut passed).unwrap();
                count
            }
        };
        stream = &stream[count..];
    }
    (passed, in_place)
}

#[test]
fn a_large_body_is_kept_and_a_ticket_passes_however_it_is_cut() {
    for size in [LARGE, 70_000] {
        let large: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        let (first, second) = large.split_at(1_000);
        let small = [
            frame::method(1, DELIVER, b"m0"),
            header(1, LARGE - 1),
            body(1, &large[1..LARGE as usize]),
        ]
        .concat();
        let deliver = frame::method(1, DELIVER, b"m1");
        // Another channel's frames come in between.
        let other = [frame::method(2, DELIVER, b"m2"), header(2, 3), body(2, b"two")].concat();
        let stream = [
            &small[..],
            &deliver,
            &header(1, size),
            &body(1, first),
            &other,
            &body(1, second),
            &small,
        ]
        .concat();
        for piece in (1..100).chain([1_000, 4_000, 30_000, stream.len()]) {
            let mut incoming = Incoming::default();
            let (passed, _) = read(&mut incoming, &stream, piece);
            let [(1, ticket, kept)] = &incoming.news().bodies[..] else {
                panic!("in pieces of {piece}")
            };
            assert!(kept.body == large && kept.is_complete, "in pieces of {piece}");
            let ticket = ticket.bytes();
            let replaced = [header(1, ticket.len() as u64), body(1, ticket)].concat();
            assert!(
                passed == [&small[..], &deliver, &other, &replaced, &small].concat(),
                "in pieces of {piece}"
            );
        }
    }
}

#[test]
fn nearly_all_of_very_large_bodies_is_read_in_place() {
    let frames: Vec<Vec<u8>> = (1..=4).map(|byte| body(1, &[byte; 100_000])).collect();
    let message =
        [&frame::method(1, DELIVER, b"m1")[..], &header(1, 400_000), &frames.concat()].concat();
    let mut incoming = Incoming::default();
    // The first piece ends in the first frame of the first body.
    let (_, first) = read(&mut incoming, &message[..70_000], 70_000);
    let (_, second) = read(&mut incoming, &[&message[70_000..], &message[..]].concat(), 128 << 10);
    assert!(first == 0 && second > 725_000, "{first}, {second}");
    assert_eq!(incoming.news().bodies.len(), 2);
    for (_, _, Around { body: kept, .. }) in &incoming.news().bodies {
        assert!(
            kept.len() == 400_000
                && kept.chunks(100_000).zip(1..).all(|(part, byte)| *part == [byte; 100_000])
        );
    }
}

#[test]
fn a_large_body_that_breaks_off_is_forgotten_with_its_channel() {
    let part = vec![7; 1_000];
    for end in [
        frame::method(1, CHANNEL_CLOSE, b"\x01\x94 and words"),
        frame::method(1, CHANNEL_CLOSE_OK, b""),
    ] {
        let (mut incoming, mut passed) = (Incoming::default(), Vec::new());
        let opened = frame::method(1, CHANNEL_OPEN_OK, b"\0\0\0\0");
        let stream = [
            header(1, LARGE),
            body(1, &part),
            end.clone(),
            opened.clone(),
            header(1, 1_000),
            body(1, &part),
        ]
        .concat();
        incoming.pass(&stream, &mut passed).unwrap();
        assert_eq!(passed, [end, opened, header(1, 1_000), body(1, &part)].concat());
        assert!(incoming.news().bodies.is_empty() && incoming.large.is_empty());
    }
}

#[test]
fn a_body_larger_than_announced_is_refused() {
    let stream = [header(1, LARGE), body(1, &vec![7; LARGE as usize + 1])].concat();
    assert!(matches!(passed(&stream, 1_000), Err(Refused::Overlong)));
}

/// Numbers that look random, and are the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// What a broker might send: frames of three channels mixed, with bodies of all sizes in frames of all sizes; a channel may end in the middle.
fn random_stream(random: &mut Random) -> Vec<u8> {
    let mut channels: Vec<Vec<Vec<u8>>> =
        (0..3).map(|channel| random_channel(random, channel + 1)).collect();
    let mut stream = Vec::new();
    while !channels.is_empty() {
        let next = random.below(channels.len());
        if channels[next].is_empty() {
            channels.swap_remove(next);
        } else {
            stream.extend(channels[next].remove(0));
        }
        if random.below(10) == 0 {
            stream.extend(frame::HEARTBEAT);
        }
    }
    stream
}

fn random_channel(random: &mut Random, channel: u16) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for message in 0..=random.below(6) {
        let size = random.of(&[0, 1, 100, LARGE as usize - 1, LARGE as usize, 20_000, 70_000]);
        let bytes: Vec<u8> = (0..size).map(|at| (at + message) as u8).collect();
        frames.push(frame::method(channel, DELIVER, b"words"));
        frames.push(header(channel, size as u64));
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (part, behind) =
                rest.split_at(random.of(&[0, 1, 3_000, 16_383, 16_384, 40_000]).min(rest.len()));
            frames.push(body(channel, part));
            rest = behind;
        }
        match random.below(8) {
            0 => frames.push(frame::method(
                channel,
                BASIC_ACK,
                &[0, 0, 0, 0, 0, 0, 0, message as u8, 0],
            )),
            1 => {
                frames.truncate(frames.len() - random.below(frames.len()));
                frames.push(frame::method(channel, CHANNEL_CLOSE, b"\x01\x94 and words"));
                frames.push(frame::method(channel, DELIVER, b"late"));
                frames.push(frame::method(channel, CHANNEL_OPEN_OK, b"\0\0\0\0"));
            }
            _ => {}
        }
    }
    frames
}

/// What came of a stream that was read in such pieces: what passed, with nothing secret in it, and the news.
fn outcome(stream: &[u8], piece: usize) -> (Vec<u8>, News) {
    let mut incoming = Incoming::default();
    let (mut passed, _) = read(&mut incoming, stream, piece);
    let news = mem::take(incoming.news());
    for (_, ticket, _) in &news.bodies {
        let ticket = ticket.bytes();
        let at = passed.windows(ticket.len()).position(|bytes| bytes == ticket).unwrap();
        passed[at..at + 16].fill(0);
    }
    (passed, news)
}

#[test]
fn what_comes_of_a_stream_does_not_depend_on_how_it_is_cut() {
    for seed in 0..25 {
        let mut random = Random(seed);
        let stream = random_stream(&mut random);
        let (expected, expected_news) = outcome(&stream, 1);
        for _ in 0..4 {
            let piece = random.of(&[7, 100, 5_000, 16_384, 100_000, 1 << 20]) + random.below(10);
            let (passed, news) = outcome(&stream, piece);
            assert!(passed == expected, "seed {seed}, in pieces of {piece}");
            assert_eq!(
                (news.answers, news.ended),
                (expected_news.answers.clone(), expected_news.ended.clone()),
                "seed {seed}"
            );
            let bodies = |news: &News| {
                news.bodies
                    .iter()
                    .map(|(channel, _, around)| (*channel, around.body.to_vec()))
                    .collect::<Vec<_>>()
            };
            assert!(
                bodies(&News { bodies: news.bodies, ..News::default() }) == bodies(&expected_news),
                "seed {seed}, in pieces of {piece}"
            );
        }
    }
}
