// The AI SDK, with its OpenAI provider (chat and responses) and the one for compatible servers.
import assert from 'node:assert/strict';
import { APICallError, Output, embedMany, generateText, jsonSchema, streamText, tool } from 'ai';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { BASE, CALL, PROMPT, SCHEMA, TEXT, asked, isGone, run } from './cases.mjs';

const openai = createOpenAI({ baseURL: `${BASE}/v1`, apiKey: 'sk-test' });
const compatible = createOpenAICompatible({ name: 'ours', baseURL: `${BASE}/v1`, apiKey: 'sk-test',
  includeUsage: true, supportsStructuredOutputs: true });
const KINDS = { chat: (m) => openai.chat(m), responses: (m) => openai.responses(m),
  compatible: (m) => compatible(m) };
const tools = { weather: tool({ description: 'w', inputSchema: jsonSchema(SCHEMA) }),
  time: tool({ description: 't', inputSchema: jsonSchema({ type: 'object', properties: {} }) }) };
const given = (model) => ({ model, prompt: PROMPT, maxRetries: 0 });
const parts = async (stream) => {
  const all = [];
  for await (const p of stream.fullStream ?? stream.stream) all.push(p);
  return all;
};
const quiet = { onError: () => {} };

const cases = {};
for (const [kind, model] of Object.entries(KINDS)) {
  cases[`${kind}: an answer`] = async () => {
    const r = await generateText(given(model('gpt-test')));
    assert.equal(r.text, TEXT);
    assert.equal(r.finishReason, 'stop');
    assert.equal(r.usage.totalTokens, 17);
    assert.match(r.response.headers['x-receipt-id'], /^[0-9a-f]{32}$/);
  };
  cases[`${kind}: a stream`] = async () => {
    const r = streamText(given(model('gpt-test')));
    let text = '';
    for await (const t of r.textStream) text += t;
    assert.equal(text, TEXT);
    assert.equal(await r.finishReason, 'stop');
    assert.equal((await r.usage).totalTokens, 17);
  };
  cases[`${kind}: tools`] = async () => {
    const r = await generateText({ ...given(model('tools')), tools });
    assert.deepEqual(r.toolCalls.map((c) => c.toolName), ['weather', 'time']);
    assert.deepEqual(r.toolCalls[0].input, CALL);
    assert.equal(r.finishReason, 'tool-calls');
  };
  cases[`${kind}: tools in a stream`] = async () => {
    const found = (await parts(streamText({ ...given(model('tools')), tools })))
      .filter((p) => p.type === 'tool-call');
    assert.deepEqual(found.map((c) => c.toolName), ['weather', 'time']);
    assert.deepEqual(found[0].input, CALL);
  };
  cases[`${kind}: structured outputs`] = async () => {
    const r = await generateText({ ...given(model('json')),
      output: Output.object({ schema: jsonSchema(SCHEMA) }) });
    assert.deepEqual(r.output, CALL);
  };
  cases[`${kind}: errors`] = async () => {
    for (const status of [400, 401, 403, 404, 422, 429, 500, 503])
      await assert.rejects(generateText(given(model(`err-${status}`))), (e) => {
        assert(APICallError.isInstance(e), `${status}: ${e}`);
        assert.equal(e.statusCode, status);
        assert.match(e.message, new RegExp(`the engine says ${status}`));
        return true;
      });
  };
  cases[`${kind}: a stream that breaks is an error`] = async () => {
    for (const name of ['cut-3', 'early-4', 'garbage-3', 'error-event']) {
      const all = [];
      try {
        const r = streamText({ ...given(model(name)), ...quiet });
        for await (const p of r.fullStream ?? r.stream) all.push(p.type);
      } catch {
        all.push('error');
      }
      assert(all.includes('error') && all.includes('text-delta'), `${name}: ${all}`);
    }
  };
  cases[`${kind}: aborting frees the engine`] = async () => {
    const name = `endless-ai-${kind}-${process.pid}`;
    const control = new AbortController();
    const r = streamText({ ...given(model(name)), ...quiet, abortSignal: control.signal });
    let n = 0;
    for await (const p of r.fullStream ?? r.stream)
      if (p.type === 'text-delta' && ++n === 5) control.abort();
    await isGone(name);
  };
  cases[`${kind}: retries are its own, and no more`] = async () => {
    const before = await asked('err-500');
    await assert.rejects(generateText({ ...given(model('err-500')), maxRetries: 1 }));
    assert.equal(await asked('err-500') - before, 2);
  };
}
cases['embeddings'] = async () => {
  for (const p of [openai, compatible]) {
    const model = (p.embeddingModel ?? p.textEmbeddingModel).call(p, 'e');
    const r = await embedMany({ model, values: ['x', 'y'], maxRetries: 0 });
    assert.equal(r.embeddings.length, 2);
    assert.deepEqual(r.embeddings[1].slice(0, 3), [0.25, -1.5, 3]);
  }
};
await run(cases);
