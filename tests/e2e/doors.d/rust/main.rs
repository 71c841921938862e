// The ohttp and bhttp crates at the door for Oblivious HTTP: plain for what is no stream, chunked for
// streams. argv[1] is the JSON that trial.py writes; says "ok NAME" or "FAIL NAME: why" for each case.

use std::{
    cell::RefCell,
    error::Error,
    fs,
    io::{Cursor, Read, Write},
    path::Path,
    rc::Rc,
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use bhttp::stream::AsyncReadMessage;
use bhttp::{Message, Mode};
use futures::{executor::block_on, io::AllowStdIo, AsyncReadExt, AsyncWriteExt};
use ohttp::ClientRequest;
use serde_json::{json, Value};

type Res<T> = Result<T, Box<dyn Error + Send + Sync>>;
const TEXT: &str = "Hello from the engine, quetzal-answer-canary-5d1f ü🙂.";
const DOOR: &str = "/.well-known/ohttp-gateway";

#[derive(Default)]
struct Answer {
    status: u16,
    body: Vec<u8>,
    receipt: Vec<u8>,
}

/// Where the sealed request goes; the writer keeps the other half.
#[derive(Clone, Default)]
struct Sealed(Rc<RefCell<Vec<u8>>>);

impl Write for Sealed {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(data);
        Ok(data.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn ensure(holds: bool, why: impl Into<String>) -> Res<()> {
    if holds {
        Ok(())
    } else {
        Err(why.into().into())
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into()
}

fn get(url: &str) -> Res<Vec<u8>> {
    Ok(agent().get(url).call()?.body_mut().read_to_vec()?)
}

fn post(base: &str, media: &str, body: &[u8]) -> Res<impl Read> {
    let answer = agent()
        .post(format!("{base}{DOOR}"))
        .header("content-type", media)
        .send(body)?;
    let kind = answer
        .headers()
        .get("content-type")
        .map_or("", |v| v.to_str().unwrap_or(""));
    ensure(
        answer.status() == 200 && kind == media.replace("-req", "-res"),
        format!("{} {kind}", answer.status()),
    )?;
    Ok(answer.into_body().into_reader())
}

/// The list with AES-128-GCM as only AEAD: the crate's streams know no nonce longer than 16 bytes.
fn aes_128(list: &[u8]) -> Vec<u8> {
    let mut one = list[2..2 + 35].to_vec();
    one.extend_from_slice(&[0, 4, 0, 1, 0, 1]);
    [&(one.len() as u16).to_be_bytes()[..], &one].concat()
}

/// An HTTP date (RFC 9110), which the worker wants inside.
fn date() -> String {
    let s = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let days = s / 86400;
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    format!(
        "{}, {:02} {} {} {:02}:{:02}:{:02} GMT",
        ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][(days % 7) as usize],
        doy - (153 * mp + 2) / 5 + 1,
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
            [month as usize - 1],
        yoe + era * 400 + u64::from(month <= 2),
        s / 3600 % 24,
        s / 60 % 60,
        s % 60
    )
}

fn inner(body: &[u8], mode: Mode) -> Res<Vec<u8>> {
    let mut m = Message::request(
        b"POST".to_vec(),
        b"https".to_vec(),
        b"w0".to_vec(),
        b"/v1/chat/completions".to_vec(),
    );
    m.put_header("content-type", "application/json");
    m.put_header("date", date());
    m.write_content(body);
    let mut out = Vec::new();
    m.write_bhttp(mode, &mut out)?;
    Ok(out)
}

fn question(model: &str, stream: bool) -> Vec<u8> {
    json!({"model": model, "stream": stream,
        "messages": [{"role": "user", "content": "marmoset-prompt-canary-77c2"}]})
    .to_string()
    .into()
}

fn whole(base: &str, keys: &[u8], body: &[u8]) -> Res<Answer> {
    let (sealed, opener) = ClientRequest::from_encoded_config_list(keys)?
        .encapsulate(&inner(body, Mode::KnownLength)?)?;
    let mut answer = Vec::new();
    post(base, "message/ohttp-req", &sealed)?.read_to_end(&mut answer)?;
    let m = Message::read_bhttp(&mut Cursor::new(&opener.decapsulate(&answer)?[..]))?;
    Ok(Answer {
        status: m.control().status().ok_or("no status")?.code(),
        body: m.content().to_vec(),
        receipt: m.trailer().get(b"receipt").unwrap_or_default().to_vec(),
    })
}

/// Calls `piece` with all of the content so far, each time that there is more.
fn streamed(
    base: &str,
    keys: &[u8],
    body: &[u8],
    mut piece: impl FnMut(&[u8]) -> Res<()>,
) -> Res<Answer> {
    let sealed = Sealed::default();
    let mut request = ClientRequest::from_encoded_config_list(&aes_128(keys))?
        .encapsulate_stream(AllowStdIo::new(sealed.clone()))?;
    block_on(request.write_all(&inner(body, Mode::IndeterminateLength)?))?;
    block_on(request.close())?;
    let from = post(base, "message/ohttp-chunked-req", &sealed.0.borrow())?;
    let mut opened = request.response(AllowStdIo::new(from))?;
    let mut m = Message::async_read(&mut opened);
    let mut answer = Answer::default();
    answer.status = block_on(m.header())?
        .control()
        .status()
        .ok_or("no status")?
        .code();
    let mut buf = vec![0; 16384];
    let mut content = m.body()?;
    loop {
        let n = block_on(content.read(&mut buf))?;
        if n == 0 {
            break;
        }
        answer.body.extend_from_slice(&buf[..n]);
        piece(&answer.body)?;
    }
    answer.receipt = block_on(m.trailer())?
        .get(b"receipt")
        .unwrap_or_default()
        .to_vec();
    let mut rest = Vec::new();
    block_on(opened.read_to_end(&mut rest))?;
    ensure(
        rest.iter().all(|b| *b == 0),
        "something behind the trailers",
    )?;
    Ok(answer)
}

fn text_of(stream: &[u8]) -> Res<String> {
    let mut out = String::new();
    for line in std::str::from_utf8(stream)?.lines() {
        if let Some(data) = line.strip_prefix("data: {") {
            let v: Value = serde_json::from_str(&format!("{{{data}"))?;
            out += v["choices"][0]["delta"]["content"].as_str().unwrap_or("");
        }
    }
    Ok(out)
}

fn keep(folder: &str, name: &str, request: &[u8], answer: &Answer) -> Res<()> {
    let at = Path::new(folder);
    fs::write(at.join(format!("{name}.request")), request)?;
    fs::write(at.join(format!("{name}.response")), &answer.body)?;
    Ok(fs::write(
        at.join(format!("{name}.receipt")),
        &answer.receipt,
    )?)
}

fn is_text(body: &[u8]) -> Res<()> {
    let v: Value = serde_json::from_slice(body)?;
    ensure(v["choices"][0]["message"]["content"] == TEXT, v.to_string())
}

fn cases(c: &Value, keys: &[u8]) -> Vec<(&'static str, Res<()>)> {
    let at = |name: &str| c[name].as_str().unwrap_or_default().to_string();
    let (relay, folder, me) = (at("relay"), at("folder"), at("name"));
    let none = |_: &[u8]| Ok(());
    let asked = |model: &str| get(&format!("{}/_calls/{model}", at("engine")));
    vec![
        (
            "whole",
            (|| {
                let q = question("gpt-test", false);
                let a = whole(&relay, keys, &q)?;
                keep(&folder, "whole", &q, &a)?;
                is_text(&a.body)
            })(),
        ),
        (
            "stream",
            (|| {
                let q = question("gpt-test", true);
                let a = streamed(&relay, keys, &q, none)?;
                keep(&folder, "stream", &q, &a)?;
                ensure(text_of(&a.body)? == TEXT, "another text")?;
                ensure(
                    String::from_utf8_lossy(&a.body).contains("data: [DONE]\n\n"),
                    "no [DONE]",
                )
            })(),
        ),
        (
            "order",
            (|| {
                let mut early = false;
                let a = streamed(
                    &relay,
                    keys,
                    &question(&format!("gate-{me}"), true),
                    |so_far| {
                        if !early && text_of(so_far)? == "Hello from" {
                            early = true;
                            get(&format!("{}/_release/{me}", at("engine")))?;
                        }
                        Ok(())
                    },
                )?;
                ensure(
                    early && text_of(&a.body)? == TEXT,
                    "it came late, or not whole",
                )
            })(),
        ),
        (
            "many",
            (|| {
                let one = |i: usize| -> Res<()> {
                    let a = streamed(&relay, keys, &question("words-10-1", true), none)?;
                    ensure(text_of(&a.body)?.ends_with("w9 "), "not all words")?;
                    is_text(&whole(&relay, keys, &question(&format!("plain-{i}"), false))?.body)
                };
                let one = &one;
                thread::scope(|s| {
                    let all: Vec<_> = (0..4)
                        .map(|t| s.spawn(move || (0..3).try_for_each(|i| one(t * 3 + i))))
                        .collect();
                    all.into_iter()
                        .try_for_each(|t| t.join().map_err(|_| "panicked")?)
                })
            })(),
        ),
        (
            "large",
            (|| {
                let mut q: Value = serde_json::from_slice(&question("big-1024", false))?;
                q["messages"][0]["content"] = "x".repeat(3 << 20).into();
                let q: Vec<u8> = q.to_string().into();
                let v: Value = serde_json::from_slice(&whole(&relay, keys, &q)?.body)?;
                ensure(
                    v["choices"][0]["message"]["content"].as_str().map(str::len) == Some(1 << 20),
                    "plain",
                )?;
                let v: Value = serde_json::from_slice(&streamed(&relay, keys, &q, none)?.body)?;
                ensure(
                    v["choices"][0]["message"]["content"].as_str().map(str::len) == Some(1 << 20),
                    "chunked",
                )
            })(),
        ),
        (
            "error",
            (|| {
                let a = streamed(&relay, keys, &question("err-429", false), none)?;
                let v: Value = serde_json::from_slice(&a.body)?;
                ensure(
                    a.status == 429 && v["error"]["code"] == "rate_limit_exceeded",
                    v.to_string(),
                )
            })(),
        ),
        (
            "flipped",
            (|| {
                ensure(
                    whole(&at("flipped"), keys, &question("gpt-test", false)).is_err(),
                    "plain",
                )?;
                ensure(
                    streamed(&at("flipped"), keys, &question("gpt-test", true), none).is_err(),
                    "chunked",
                )
            })(),
        ),
        (
            "cut",
            (|| {
                let mut seen = 0;
                let a = streamed(&at("cut"), keys, &question("words-50-1", true), |s| {
                    Ok(seen = s.len())
                });
                ensure(
                    a.is_err() && seen > 0,
                    format!("{} bytes passed for an answer", seen),
                )
            })(),
        ),
        (
            "other-key",
            (|| {
                let mut wrong = keys.to_vec();
                wrong[10] ^= 1;
                let a = whole(
                    &relay,
                    &wrong,
                    &question(&format!("plain-other-{me}"), false),
                );
                ensure(
                    a.is_err() && asked(&format!("plain-other-{me}"))? == b"[]",
                    "it was answered",
                )
            })(),
        ),
    ]
}

fn main() -> Res<()> {
    let c: Value = serde_json::from_str(&std::env::args().nth(1).ok_or("no arguments")?)?;
    ohttp::init();
    let keys = get(&format!("{}{DOOR}", c["relay"].as_str().ok_or("no relay")?))?;
    println!("ok keys");
    for (name, result) in cases(&c, &keys) {
        match result {
            Ok(()) => println!("ok {name}"),
            Err(why) => println!("FAIL {name}: {}", why.to_string().replace('\n', " ")),
        }
    }
    println!("end");
    Ok(())
}
