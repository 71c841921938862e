// What the openai npm package does with the gateway: node sdk/node.mjs PACKAGE-FOLDER GATEWAY ENGINE.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const [folder, BASE, ENGINE] = process.argv.slice(2);
const require = createRequire(path.join(folder, 'package.json'));
const { OpenAI, toFile } = require('openai');
const { version } = JSON.parse(readFileSync(path.join(folder, 'node_modules/openai/package.json')));
const TEXT = ['Hello', ' from', ' the', ' engine', ',', ' ', 'quetzal-answer-canary-5d1f', ' ü', '🙂', '.']
  .join('');
const client = new OpenAI({ baseURL: `${BASE}/v1`, apiKey: 'sk-test', maxRetries: 0, timeout: 60000 });
const messages = [{ role: 'user', content: 'marmoset-prompt-canary-77c2' }];
const create = (model, more = {}, options = {}) =>
  client.chat.completions.create({ model, messages, ...more }, options);
const respond = (model, more = {}) =>
  client.responses.create({ model, input: messages[0].content, ...more });
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
  async 'structured outputs'() {
    const response_format = { type: 'json_schema', json_schema: { name: 'trip', strict: true,
      schema: { type: 'object', properties: {}, additionalProperties: false } } };
    const chat = client.chat.completions.parse ? client.chat.completions : client.beta.chat.completions;
    const r = await chat.parse({ model: 'json', messages, response_format });
    assert.deepEqual(r.choices[0].message.parsed ?? JSON.parse(r.choices[0].message.content),
      { city: 'Zürich', days: 3 });
  },
  async 'uploads and binary answers'() {
    const sound = Buffer.alloc(100000, 'ü');
    const r = await client.audio.transcriptions.create({ model: 'whisper',
      file: await toFile(sound, 'ü.wav') });
    assert.equal(r.text, 'what was said');
    assert(r.seen.length > sound.length);
    const said = await client.audio.speech.create({ model: 'tts', voice: 'alloy', input: 'x' });
    assert.equal((await said.arrayBuffer()).byteLength, 256 * 1200);
  },
  async 'retries are its own, and no more'() {
    const before = (await get(`${ENGINE}/_calls/err-500`)).length;
    await assert.rejects(create('err-500', {}, { maxRetries: 2 }));
    assert.equal((await get(`${ENGINE}/_calls/err-500`)).length - before, 3);
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
  async 'a response'() {
    const r = await respond('gpt-test');
    assert.equal(r.output_text, TEXT);
    assert.equal(r.usage.total_tokens, 17);
    assert.match(r._request_id, /^req_/);
  },
  async 'a response as a stream'() {
    const events = [];
    for await (const e of await respond('gpt-test', { stream: true })) events.push(e);
    assert.equal(events.map((e) => (e.type === 'response.output_text.delta' ? e.delta : '')).join(''), TEXT);
    assert.equal(events.at(-1).type, 'response.completed');
    assert.deepEqual(events.map((e) => e.sequence_number), events.map((_, i) => i));
  },
  async 'the stream helper of responses'() {
    const tools = [{ type: 'function', name: 'weather', parameters: { type: 'object' }, strict: false }];
    for (const [model, more] of [['gpt-test', {}], ['thinks', {}], ['tools', { tools }],
      ['calls-all', { tools: [{ type: 'custom', name: 'patch' }] }]]) {
      const r = await client.responses.stream({ model, input: 'x', ...more }).finalResponse();
      assert.equal(r.status, 'completed', model);
      if (model === 'tools')
        assert.deepEqual(JSON.parse(r.output[0].arguments), { city: 'Zürich', days: 3 });
      if (model === 'calls-all') assert.equal(r.output[0].input, 'ü\n');
    }
  },
  async 'a response with reasoning'() {
    const r = await respond('thinks', { reasoning: { summary: 'auto' } });
    assert.deepEqual(r.output.map((i) => i.type), ['reasoning', 'message']);
    assert.equal(r.output[0].summary[0].text, 'hm, well');
    assert.equal((await respond('thinks', { max_output_tokens: 20 })).status, 'incomplete');
  },
  async 'a parsed response'() {
    const r = await client.responses.parse({ model: 'json-person', input: 'x', text: { format: {
      type: 'json_schema', name: 'person', strict: true, schema: { type: 'object' } } } });
    assert.deepEqual(JSON.parse(r.output_text), { name: 'Zoë', age: 3 });
  },
  async 'responses that are kept'() {
    const first = await respond('gpt-test');
    assert.equal((await client.responses.retrieve(first.id)).output_text ?? TEXT, TEXT);
    const items = [];
    for await (const i of client.responses.inputItems.list(first.id)) items.push(i);
    assert.equal(items[0].content[0].text, messages[0].content);
    assert.equal((await respond('gpt-test', { previous_response_id: first.id })).previous_response_id, first.id);
    await (client.responses.delete ?? client.responses.del).call(client.responses, first.id);
    await assert.rejects(client.responses.retrieve(first.id), OpenAI.NotFoundError);
    await assert.rejects(respond('gpt-test', { previous_response_id: first.id }),
      (e) => e.code === 'previous_response_not_found');
  },
  async 'responses in the background'() {
    const r = await respond('gpt-test', { background: true });
    assert.equal(r.status, 'queued');
    const until = Date.now() + 20000;
    let now = r;
    while (['queued', 'in_progress'].includes(now.status)) {
      assert(Date.now() < until);
      await new Promise((done) => setTimeout(done, 50));
      now = await client.responses.retrieve(r.id);
    }
    assert.equal(now.status, 'completed');
    let name;
    let last;
    for await (const e of await respond('gpt-test', { background: true, stream: true })) {
      name ??= e.response.id;
      last = e.sequence_number;
    }
    const rest = [];
    for await (const e of await client.responses.retrieve(name, { stream: true, starting_after: 5 }))
      rest.push(e.sequence_number);
    assert.deepEqual(rest, Array.from({ length: last - 5 }, (_, i) => i + 6));
    if (!version.startsWith('4.')) {
      const again = client.responses.stream({ response_id: name, starting_after: 5 });
      assert.equal((await again.finalResponse()).output_text, TEXT);
    }
  },
  async 'responses that break throw'() {
    for (const model of ['cut-3', 'error-event'])
      await assert.rejects(async () => {
        for await (const _ of await respond(model, { stream: true }));
      }, OpenAI.APIError, model);
    await assert.rejects(respond('gpt-test', { conversation: 'conv_1' }), (e) => e.param === 'conversation');
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
