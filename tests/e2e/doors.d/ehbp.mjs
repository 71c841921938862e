// The npm package ehbp at the door for EHBP: node ehbp.mjs FOLDER alone|openai JSON. "alone" uses the package as
// fetch, "openai" puts it under the openai npm package. JSON is what trial.py writes; says "ok NAME" or
// "FAIL NAME: why" for each case.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const [folder, way, json] = process.argv.slice(2);
const at = JSON.parse(json);
const require = createRequire(path.join(folder, 'package.json'));
const { createTransport, Identity, Transport, KeyConfigMismatchError } = require('ehbp');
const TEXT = 'Hello from the engine, quetzal-answer-canary-5d1f ü🙂.';
const get = async (url) => (await fetch(url)).json();
const question = (model, content = 'marmoset-prompt-canary-77c2') =>
  ({ model, messages: [{ role: 'user', content }] });
const textOf = (events) => events.map((e) => e.choices[0]?.delta.content ?? '').join('');
const done = (events) => events.some((e) => e.choices[0]?.finish_reason);

// Each way: an answer as {status, body}, and a stream's events one by one. `seen` gets what was said, in full.
const ways = {
  alone: {
    async whole(transport, body, seen = {}) {
      seen.request = JSON.stringify(body);
      const r = await transport.post(`${at.relay}/v1/chat/completions`, seen.request,
        { headers: { 'content-type': 'application/json' } });
      seen.response = await r.text();
      return { status: r.status, body: JSON.parse(seen.response) };
    },
    async *stream(transport, body, seen = {}) {
      seen.request = JSON.stringify({ ...body, stream: true });
      const r = await transport.post(`${at.relay}/v1/chat/completions`, seen.request,
        { headers: { 'content-type': 'application/json' } });
      seen.response = '';
      let rest = '';
      for await (const piece of r.body.pipeThrough(new TextDecoderStream())) {
        seen.response += piece;
        const lines = (rest + piece).split('\n');
        rest = lines.pop();
        for (const line of lines)
          if (line.startsWith('data: {')) yield JSON.parse(line.slice(6));
      }
    },
  },
  openai: {
    client(transport, seen) {
      const { OpenAI } = require('openai');
      return new OpenAI({
        baseURL: `${at.relay}/v1`, apiKey: 'sk-test', maxRetries: 0,
        fetch: async (url, init) => {
          const r = await transport.request(url, init);
          seen.request = init.body;
          seen.text = r.clone().text().catch(() => '');
          return r;
        },
      });
    },
    async whole(transport, body, seen = {}) {
      try {
        return { status: 200, body: await this.client(transport, seen).chat.completions.create(body) };
      } catch (e) {
        if (!e.status) throw e.cause ?? e;
        return { status: e.status, body: { error: e.error } };
      } finally {
        seen.response = await seen.text;
      }
    },
    async *stream(transport, body, seen = {}) {
      yield* await this.client(transport, seen).chat.completions.create({ ...body, stream: true });
      seen.response = await seen.text;
    },
  },
};
const client = ways[way];

async function all(transport, body, seen, onEvent = () => {}) {
  const events = [];
  for await (const e of client.stream(transport, body, seen)) {
    events.push(e);
    await onEvent(events);
  }
  return events;
}

function keep(name, seen) {
  writeFileSync(path.join(at.folder, `${name}.request`), seen.request);
  writeFileSync(path.join(at.folder, `${name}.response`), seen.response);
  const receipt = /^: receipt (\S+)$/m.exec(seen.response);
  if (receipt) writeFileSync(path.join(at.folder, `${name}.receipt`), receipt[1]);
}

let door;
const cases = {
  async keys() {
    door = await createTransport(at.relay);
  },
  async whole() {
    const r = await client.whole(door, question('gpt-test'));
    assert.equal(r.body.choices[0].message.content, TEXT);
  },
  async stream() {
    const seen = {};
    const events = await all(door, question('gpt-test'), seen);
    keep('stream', seen);
    assert.equal(textOf(events), TEXT);
    assert(done(events));
    assert.match(seen.response, /\ndata: \[DONE\]\n\n(:~\.*\n\n)*: receipt \S+\n\n$/);
  },
  async order() {
    let early = false;
    const events = await all(door, question(`gate-${at.name}`), {}, async (sofar) => {
      if (early || textOf(sofar) !== 'Hello from') return;
      early = true;
      await get(`${at.engine}/_release/${at.name}`);
    });
    assert(early);
    assert.equal(textOf(events), TEXT);
  },
  async many() {
    await Promise.all([0, 1, 2, 3].map(async (t) => {
      for (let i = 0; i < 3; i++) {
        assert.match(textOf(await all(door, question('words-10-1'))), /w9 $/);
        const r = await client.whole(door, question(`plain-${t}-${i}`));
        assert.equal(r.body.choices[0].message.content, TEXT);
      }
    }));
  },
  async large() {
    const r = await client.whole(door, question('big-1024', 'x'.repeat(3 << 20)));
    assert.equal(r.body.choices[0].message.content.length, 1 << 20);
  },
  async error() {
    const r = await client.whole(door, question('err-429'));
    assert.equal(r.status, 429);
    assert.equal(r.body.error.code, 'rate_limit_exceeded');
  },
  async flipped() {
    const spoiled = await createTransport(at.flipped);
    await assert.rejects(client.whole(spoiled, question('gpt-test')));
    await assert.rejects(all(spoiled, question('gpt-test')));
  },
  // The format has no end: what shows that it is missing is that the last event is.
  async cut() {
    const seen = {};
    const events = await all(await createTransport(at.cut), question('words-50-1'), seen);
    assert(events.length > 0 && events.length < 50);
    assert(!done(events));
    assert.doesNotMatch(seen.response, /receipt|DONE/);
  },
  async 'other-key'() {
    const other = new Transport(await Identity.generate(), new URL(at.relay).host);
    await assert.rejects(client.whole(other, question(`plain-other-${at.name}`)), KeyConfigMismatchError);
    assert.deepEqual(await get(`${at.engine}/_calls/plain-other-${at.name}`), []);
  },
};

for (const [name, run] of Object.entries(cases)) {
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (e) {
    console.log(`FAIL ${name}: ${String(e.message).replaceAll('\n', ' ').slice(0, 500)}`);
  }
}
console.log('end');
