// What the openai npm package does with the gateway: node sdk/node.mjs PACKAGE-FOLDER GATEWAY ENGINE.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const [folder, BASE, ENGINE] = process.argv.slice(2);
const require = createRequire(path.join(folder, 'package.json'));
const OpenAI = require('openai').OpenAI;
const { version } = JSON.parse(readFileSync(path.join(folder, 'node_modules/openai/package.json')));
const TEXT = ['Hello', ' from', ' the', ' engine', ',', ' ', 'quetzal-answer-canary-5d1f', ' ü', '🙂', '.']
  .join('');
const client = new OpenAI({ baseURL: `${BASE}/v1`, apiKey: 'sk-test', maxRetries: 0, timeout: 60000 });
const messages = [{ role: 'user', content: 'marmoset-prompt-canary-77c2' }];
const create = (model, more = {}, options = {}) =>
  client.chat.completions.create({ model, messages, ...more }, options);
const get = async (url) => (await fetch(url)).json();
const textOf = async (stream) => {
  let out = '';
  for await (const c of stream) out += c.choices[0].delta.content ?? '';
  return out;
};
const isGone = async (name) => {
  const until = Date.now() + 3000;
  while (!(await get(`${ENGINE}/_calls/${name}`))[0].gone) {
    assert(Date.now() < until, 'the engine was not told');
    await new Promise((r) => setTimeout(r, 50));
  }
};

const cases = {
  async 'an answer that is no stream'() {
    const r = await create('gpt-test');
    assert.equal(r.choices[0].message.content, TEXT);
    assert.equal(r.usage.total_tokens, 17);
    assert.match(r._request_id, /^req_/);
  },
  async 'a stream'() {
    assert.equal(await textOf(await create('gpt-test', { stream: true })), TEXT);
  },
  async 'a stream with usage'() {
    const chunks = [];
    const stream = await create('gpt-test', { stream: true, stream_options: { include_usage: true } });
    for await (const c of stream) chunks.push(c);
    assert.equal(chunks.at(-1).usage.total_tokens, 17);
    assert.deepEqual(chunks.at(-1).choices, []);
  },
  async 'streams that engines send badly'() {
    for (const model of ['glued', 'crlf', 'no-space', 'decorated', 'multi-line', 'two-on-a-line', 'no-done'])
      assert.equal(await textOf(await create(model, { stream: true })), TEXT, model);
  },
  async 'tools'() {
    const r = await create('tools');
    assert.deepEqual(r.choices[0].message.tool_calls.map((t) => t.function.name), ['weather', 'time']);
    assert.deepEqual(JSON.parse(r.choices[0].message.tool_calls[0].function.arguments),
      { city: 'Zürich', days: 3 });
  },
  async 'tools in a stream'() {
    const args = {};
    for await (const c of await create('tools', { stream: true }))
      for (const t of c.choices[0].delta.tool_calls ?? [])
        args[t.index] = (args[t.index] ?? '') + (t.function.arguments ?? '');
    assert.deepEqual(JSON.parse(args[0]), { city: 'Zürich', days: 3 });
  },
  async 'the stream helper'() {
    const helper = client.chat.completions.stream
      ? client.chat.completions.stream({ model: 'gpt-test', messages })
      : client.beta.chat.completions.stream({ model: 'gpt-test', messages, stream: true });
    assert.equal(await helper.finalContent(), TEXT);
  },
  async 'embeddings by default and as numbers'() {
    const a = await client.embeddings.create({ model: 'e', input: 'x' });
    assert.deepEqual([...a.data[0].embedding].slice(0, 3), [0.25, -1.5, 3]);
    const b = await client.embeddings.create({ model: 'e', input: 'x', encoding_format: 'float' });
    assert.deepEqual(b.data[0].embedding, [0.25, -1.5, 3, 0.1]);
  },
  async 'models'() {
    const ids = [];
    for await (const m of client.models.list()) ids.push(m.id);
    assert.deepEqual(ids, ['gpt-test', 'org/model-with-slash', 'org/deep/er']);
    assert.equal((await client.models.retrieve('org/model-with-slash')).id, 'org/model-with-slash');
  },
  async 'legacy completions'() {
    const r = await client.completions.create({ model: 'gpt-test', prompt: 'x' });
    assert.equal(r.choices[0].text, TEXT);
  },
  async 'error classes'() {
    const kinds = { 400: 'BadRequestError', 401: 'AuthenticationError', 403: 'PermissionDeniedError',
      404: 'NotFoundError', 422: 'UnprocessableEntityError', 429: 'RateLimitError',
      500: 'InternalServerError', 503: 'InternalServerError' };
    for (const [status, kind] of Object.entries(kinds))
      for (const stream of [false, true])
        await assert.rejects(create(`err-${status}`, { stream }), (e) => {
          assert(e instanceof OpenAI[kind], `${status}: ${e.constructor.name}`);
          assert.equal(e.status, Number(status));
          assert.match(e.requestID ?? e.request_id ?? '', /^req_/);
          assert.match(e.message, new RegExp(`the engine says ${status}`));
          assert(e.code);
          return true;
        });
  },
  async 'an answer of HTML is an error'() {
    await assert.rejects(create('html-502'), (e) => e.status === 502 && !/html/i.test(e.message));
  },
  async 'a stream that breaks throws'() {
    for (const model of ['cut-3', 'cut-3-20', 'early-4', 'garbage-3', 'error-event']) {
      let n = 0;
      await assert.rejects(async () => {
        for await (const _ of await create(model, { stream: true })) n++;
      }, OpenAI.APIError, model);
      assert(n >= 3, `${model}: ${n}`);
    }
  },
  async 'leaving a stream frees the engine'() {
    const name = `endless-node-${version}`;
    let n = 0;
    for await (const _ of await create(name, { stream: true })) if (++n === 5) break;
    await isGone(name);
  },
  async 'aborting before the first token frees the engine'() {
    const name = `silent-node-${version}`;
    const control = new AbortController();
    const pending = create(name, { stream: true }, { signal: control.signal });
    setTimeout(() => control.abort(), 500);
    await assert.rejects(pending, OpenAI.APIUserAbortError);
    await isGone(name);
  },
  async 'the receipt by every id'() {
    const { data, response, request_id } = await create('gpt-test').withResponse();
    const id = response.headers.get('x-receipt-id');
    for (const name of [id, data.id, request_id ?? response.headers.get('x-request-id')])
      assert.equal((await get(`${BASE}/v1/receipts/${name}`)).id, id, name);
    assert.equal((await client.get(`/receipts/${id}`)).id, id);
  },
  async 'the receipt of a stream'() {
    const { data, response } = await create('gpt-test', { stream: true }).withResponse();
    assert.equal(await textOf(data), TEXT);
    assert.equal((await get(`${BASE}${response.headers.get('x-receipt-url')}`)).id,
      response.headers.get('x-receipt-id'));
  },
  async 'many streams at once'() {
    const all = await Promise.all(Array.from({ length: 30 }, async () =>
      textOf(await create('gpt-test', { stream: true }))));
    assert(all.every((t) => t === TEXT));
  },
};

for (const [name, fn] of Object.entries(cases)) {
  try {
    await fn();
    console.log(`ok ${name}`);
  } catch (why) {
    console.log(`FAIL ${name}: ${String(why?.stack ?? why).slice(0, 1500)}`);
  }
}
console.log('end');
process.exit(0);
