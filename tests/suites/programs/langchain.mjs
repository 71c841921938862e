// LangChain's OpenAI classes, over chat completions and over responses.
import assert from 'node:assert/strict';
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai';
import { BASE, CALL, PROMPT, SCHEMA, TEXT, asked, isGone, run } from './cases.mjs';

const settings = { apiKey: 'sk-test', maxRetries: 0, configuration: { baseURL: `${BASE}/v1` } };
const KINDS = { chat: false, responses: true };
const weather = { type: 'function',
  function: { name: 'weather', description: 'w', parameters: SCHEMA } };
const time = { type: 'function',
  function: { name: 'time', description: 't', parameters: { type: 'object', properties: {} } } };

const cases = {};
for (const [kind, useResponsesApi] of Object.entries(KINDS)) {
  const chat = (model, more = {}) => new ChatOpenAI({ ...settings, model, useResponsesApi, ...more });
  cases[`${kind}: an answer`] = async () => {
    const r = await chat('gpt-test').invoke(PROMPT);
    assert.equal(r.text, TEXT);
    assert.equal(r.usage_metadata.total_tokens, 17);
  };
  cases[`${kind}: a stream`] = async () => {
    let text = '';
    for await (const c of await chat('gpt-test').stream(PROMPT)) text += c.text;
    assert.equal(text, TEXT);
  };
  cases[`${kind}: tools`] = async () => {
    const r = await chat('tools').bindTools([weather, time]).invoke(PROMPT);
    assert.deepEqual(r.tool_calls.map((c) => c.name), ['weather', 'time']);
    assert.deepEqual(r.tool_calls[0].args, CALL);
  };
  cases[`${kind}: tools in a stream`] = async () => {
    let whole;
    for await (const c of await chat('tools').bindTools([weather, time]).stream(PROMPT))
      whole = whole ? whole.concat(c) : c;
    assert.deepEqual(whole.tool_calls.map((c) => c.name), ['weather', 'time']);
    assert.deepEqual(whole.tool_calls[0].args, CALL);
  };
  cases[`${kind}: structured outputs`] = async () => {
    const model = chat('json').withStructuredOutput(SCHEMA, { name: 'w', method: 'jsonSchema' });
    assert.deepEqual(await model.invoke(PROMPT), CALL);
  };
  cases[`${kind}: errors`] = async () => {
    for (const status of [400, 401, 403, 404, 422, 429, 500, 503])
      await assert.rejects(chat(`err-${status}`).invoke(PROMPT), (e) => {
        assert.equal(e.status ?? e.cause?.status, status, `${status}: ${e}`);
        return true;
      });
  };
  cases[`${kind}: a stream that breaks throws`] = async () => {
    for (const name of ['cut-3', 'early-4', 'error-event'])
      await assert.rejects(async () => {
        for await (const _ of await chat(name).stream(PROMPT));
      }, undefined, name);
  };
  cases[`${kind}: aborting frees the engine`] = async () => {
    const name = `endless-langchain-${kind}-${process.pid}`;
    const control = new AbortController();
    let n = 0;
    await assert.rejects(async () => {
      for await (const _ of await chat(name).stream(PROMPT, { signal: control.signal }))
        if (++n === 5) control.abort();
    });
    await isGone(name);
  };
  cases[`${kind}: retries are its own, and no more`] = async () => {
    const before = await asked('err-500');
    await assert.rejects(chat('err-500', { maxRetries: 1 }).invoke(PROMPT));
    assert.equal(await asked('err-500') - before, 2);
  };
}
cases['embeddings'] = async () => {
  const r = await new OpenAIEmbeddings({ ...settings, model: 'e' }).embedDocuments(['x', 'y']);
  assert.equal(r.length, 2);
  assert.deepEqual(r[1].slice(0, 3), [0.25, -1.5, 3]);
};
await run(cases);
