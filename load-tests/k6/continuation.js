// Streams that are killed after any of their pieces of text, by RST, by FIN inside the framing, or by an end that says nothing of the
// answer's. 100 of text, from providers of two dialects to clients of two, must come out whole, letter by letter, with one seam each;
// 36 of a tool call must end in the in-band error, without a seam.
import { Counter } from 'k6/metrics';
import { check } from 'k6';
import http from 'k6/http';
import exec from 'k6/execution';
import { chatBody, post, summaryWith, times, together } from './lib.js';

const TEXTS = Number(__ENV.TEXTS || 100), CALLS = 36;
const whole = new Counter('texts_whole'), seams = new Counter('seams'), errors = new Counter('tool_calls_ended_in_band');
const DEATHS = ['reset', 'eof', 'end'], RESCUERS = ['claude', 'mistral', 'vllm'];

export const options = together({ texts: times('text', TEXTS, 10), calls: Object.assign(times('call', CALLS, 5), { startTime: '1s' }) });

// What the mock says when nobody kills it.
export function setup() {
  const answer = http.post(`http://${__ENV.MOCK_rescue}/v1/chat/completions`, chatBody('mock', true));
  const text = chatText(answer.body).text;
  if (text.length < 200) throw new Error('the mock says nothing');
  return { text };
}

// A stream's text and how it ended; comments apart.
function events(body) {
  const blocks = (body || '').split('\n\n').filter((block) => block !== '');
  const comments = blocks.filter((block) => block.startsWith(':'));
  const data = blocks.filter((block) => !block.startsWith(':')).map((block) => block.split('\n').filter((line) => line.startsWith('data: ')).map((line) => line.slice(6)).join('\n'));
  return { data, seams: comments.filter((block) => block.startsWith(': cirque seam')).length };
}

function chatText(body) {
  const seen = events(body);
  const out = { text: '', finish: null, done: false, error: null, seams: seen.seams };
  for (const data of seen.data) {
    if (data === '[DONE]') { out.done = true; continue; }
    const value = JSON.parse(data);
    if (value.error) out.error = value.error;
    const choice = (value.choices || [])[0];
    if (!choice) continue;
    out.text += (choice.delta && choice.delta.content) || '';
    out.finish = choice.finish_reason || out.finish;
  }
  return out;
}

function messagesText(body) {
  const seen = events(body);
  const out = { text: '', finish: null, done: false, error: null, seams: seen.seams };
  for (const data of seen.data) {
    const value = JSON.parse(data);
    if (value.type === 'error') out.error = value.error;
    if (value.type === 'content_block_delta') out.text += value.delta.text || '';
    if (value.type === 'message_delta') out.finish = value.delta.stop_reason || out.finish;
    if (value.type === 'message_stop') out.done = true;
  }
  return out;
}

const seen = (read, answer) => {
  try {
    return read(answer.body);
  } catch (error) {
    return { text: '', error: String(error), seams: 0 };
  }
};

// Every way of dying, of providers of both dialects, at every rescuer, by clients of both, at ever other places: 36 stories, each told
// at other places when it comes round. The text begins with the second event of OpenAI's, with the fourth of Anthropic's.
function story(nth) {
  const dying = Math.floor(nth / 9) % 2 ? 'claude' : 'openai';
  const rescuer = RESCUERS[Math.floor(nth / 3) % 3];
  return { dying, death: DEATHS[nth % 3], messages: Math.floor(nth / 18) % 2 === 1, prefix: `${dying}-to-${rescuer}-${DEATHS[nth % 3]}-after` };
}

// One of each virtual user is enough to see what is wrong.
let complained = false;
function complain(what) {
  if (!complained) console.error(what);
  complained = true;
}

export function text(data) {
  const nth = exec.scenario.iterationInTest;
  const told = story(nth);
  const model = `${told.prefix}-${(told.dying === 'claude' ? 4 : 2) + ((nth * 7) % 31)}`;
  const body = told.messages
    ? JSON.stringify({ model, max_tokens: 1024, stream: true, messages: [{ role: 'user', content: 'Tell me.' }] })
    : chatBody(model, true);
  const answer = post(told.messages ? '/v1/messages' : '/v1/chat/completions', body, 'killed text');
  const out = seen(told.messages ? messagesText : chatText, answer);
  const good = check(out, {
    'text: every letter once': (o) => o.text === data.text,
    'text: one seam': (o) => o.seams === 1,
    'text: ends as it should': (o) => o.done && !o.error && (o.finish === 'stop' || o.finish === 'end_turn'),
  });
  seams.add(out.seams);
  if (good) whole.add(1);
  else complain(`${model} (${told.messages ? 'messages' : 'chat'}): ${answer.status}, ${out.text === data.text ? 'text right' : `text wrong: …${JSON.stringify(out.text.slice(-200))}`}, seams ${out.seams}, finish ${out.finish}, done ${out.done}, error ${JSON.stringify(out.error)} ${answer.error}`);
}

export function call() {
  const nth = exec.scenario.iterationInTest;
  const told = story(nth);
  // The call's name is told by the first event of OpenAI's, by the third of Anthropic's, its arguments by the next five.
  const model = `${told.prefix}-${(told.dying === 'claude' ? 3 : 2) + (nth % 4)}`;
  const parameters = { type: 'object', properties: { city: { type: 'string' } } };
  const chat = JSON.parse(chatBody(model, true, 'Weather in Paris?'));
  chat.tools = [{ type: 'function', function: { name: 'weather', parameters } }];
  const messages = { model, max_tokens: 1024, stream: true, messages: [{ role: 'user', content: 'Weather in Paris?' }], tools: [{ name: 'weather', input_schema: parameters }] };
  const answer = post(told.messages ? '/v1/messages' : '/v1/chat/completions', JSON.stringify(told.messages ? messages : chat), 'killed tool call');
  const out = seen(told.messages ? messagesText : chatText, answer);
  const good = check(out, {
    'call: error in band': (o) => o.error !== null && typeof o.error === 'object',
    'call: no seam': (o) => o.seams === 0,
    'call: no ending made up': (o) => o.finish === null,
  });
  if (good) errors.add(1);
  else complain(`${model} (${told.messages ? 'messages' : 'chat'}): ${answer.status} ${answer.error} …${JSON.stringify((answer.body || '').slice(-400))}`);
}

export const handleSummary = summaryWith((of) => [
  [`${TEXTS} killed texts end whole`, of('texts_whole').count || 0, of('texts_whole').count === TEXTS],
  ['one seam each', of('seams').count || 0, of('seams').count === TEXTS],
  [`${CALLS} killed tool calls end in the in-band error`, of('tool_calls_ended_in_band').count || 0, of('tool_calls_ended_in_band').count === CALLS],
]);
