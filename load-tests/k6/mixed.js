// What a working day looks like: chat, streams, tools, embeddings, model lists and a few mistaken requests.
import { check } from 'k6';
import { DIRECT, options as make, chat, chatBody, get, post, says, stream, summary } from './lib.js';

export const options = make(40, { http_req_duration: ['p(95)<800'] });

function embeddings() {
  const body = JSON.stringify({ model: 'mock', input: ['one', 'two', 'three'] });
  check(post('/v1/embeddings', body, 'embeddings'), {
    'embeddings: three vectors': (r) => r.status === 200 && says(r, (v) => v.data.length === 3),
  });
}

function tools() {
  const body = JSON.parse(chatBody('mock', false, 'Weather in Paris?'));
  body.tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: {} } } }];
  check(post('/v1/chat/completions', JSON.stringify(body), 'tools'), {
    'tools: called': (r) => r.status === 200 && says(r, (v) => v.choices[0].message.tool_calls[0].function.name === 'weather'),
  });
}

function unknownModel() {
  if (DIRECT) return;
  check(post('/v1/chat/completions', chatBody('no-such-model', false), 'unknown model', 404), {
    'unknown model: 404 in OpenAI form': (r) => r.status === 404 && says(r, (v) => v.error.code === 'model_not_found'),
  });
}

function brokenJson() {
  check(post('/v1/chat/completions', '{"model": "mock", "messages": [', 'broken JSON', 400), {
    'broken JSON: 400 in OpenAI form': (r) => r.status === 400 && says(r, (v) => v.error.type === 'invalid_request_error'),
  });
}

export default function () {
  const dice = Math.random();
  if (dice < 0.45) chat('mock');
  else if (dice < 0.75) stream('pace-5-mock');
  else if (dice < 0.83) embeddings();
  else if (dice < 0.9) tools();
  else if (dice < 0.96) check(get('/v1/models', 'models'), { 'models: 200': (r) => r.status === 200 });
  else if (dice < 0.98) unknownModel();
  else brokenJson();
}
export const handleSummary = summary;
