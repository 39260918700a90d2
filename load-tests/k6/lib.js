// Shared by the scenarios: where to send, what to send, what counts as right, and how a run is written down.
// Environment, set by scripts/load.sh: BASE_URL, DURATION (20s), VUS (per scenario), SUMMARY (file), DIRECT (no gateway).
import http from 'k6/http';
import { check } from 'k6';

export const BASE = __ENV.BASE_URL || 'http://127.0.0.1:8080';
export const DIRECT = __ENV.DIRECT === '1';

const HEADERS = { 'content-type': 'application/json', authorization: 'Bearer sk-load' };

// Failed means: not the status the scenario expects. A scenario is over budget with the first such answer.
export function options(vus, more) {
  return {
    discardResponseBodies: false,
    summaryTrendStats: ['avg', 'min', 'med', 'p(95)', 'p(99)', 'max'],
    scenarios: {
      run: {
        executor: 'constant-vus',
        vus: Number(__ENV.VUS || vus),
        duration: __ENV.DURATION || '20s',
        gracefulStop: '30s',
      },
    },
    thresholds: Object.assign({ http_req_failed: ['rate==0'], checks: ['rate==1'] }, more),
  };
}

export function chatBody(model, stream, text) {
  const body = {
    model,
    messages: [
      { role: 'system', content: 'You are a helpful assistant.' },
      { role: 'user', content: text || 'Tell me about the circus. '.repeat(30) },
    ],
    temperature: 0.7,
  };
  if (stream) {
    body.stream = true;
    body.stream_options = { include_usage: true };
  }
  return JSON.stringify(body);
}

export function post(path, body, name, expected) {
  return http.post(`${BASE}${path}`, body, {
    headers: HEADERS,
    tags: { name: name || path },
    timeout: '30s',
    responseCallback: http.expectedStatuses(expected || 200),
  });
}

export function get(path, name) {
  return http.get(`${BASE}${path}`, { headers: HEADERS, tags: { name: name || path } });
}

export function chat(model, name) {
  const answer = post('/v1/chat/completions', chatBody(model, false), name || 'chat');
  check(answer, {
    'chat: 200': (r) => r.status === 200,
    'chat: has a message and usage': (r) => says(r, (value) => value.choices[0].message.content.length > 0 && value.usage.total_tokens > 0),
  });
  return answer;
}

export function stream(model, name) {
  const answer = post('/v1/chat/completions', chatBody(model, true), name || 'stream');
  check(answer, {
    'stream: 200': (r) => r.status === 200,
    'stream: 35 events, usage asked for, ended by [DONE]': (r) => {
      const text = r.body || '';
      return text.endsWith('data: [DONE]\n\n') && text.split('\n\n').length - 1 === 35 && text.includes('"prompt_tokens":');
    },
  });
  return answer;
}

// Whether the JSON of an answer holds; an answer of another shape does not, and breaks nothing.
export function says(answer, holds) {
  try {
    return holds(JSON.parse(answer.body));
  } catch (_) {
    return false;
  }
}

export function summary(data) {
  const trend = (name) => (data.metrics[name] ? data.metrics[name].values : {});
  const duration = trend('http_req_duration');
  const waiting = trend('http_req_waiting');
  const broken = [];
  for (const [name, metric] of Object.entries(data.metrics)) {
    for (const [rule, result] of Object.entries(metric.thresholds || {})) {
      if (!result.ok) broken.push(`${name} ${rule}`);
    }
  }
  const failedChecks = (data.root_group.checks || []).filter((c) => c.fails > 0).map((c) => `${c.name}: ${c.fails} of ${c.fails + c.passes}`);
  const figures = {
    requests: trend('http_reqs').count || 0,
    rps: trend('http_reqs').rate || 0,
    failed: trend('http_req_failed').passes || 0,
    checks_failed: failedChecks,
    p50_ms: duration.med,
    p95_ms: duration['p(95)'],
    p99_ms: duration['p(99)'],
    first_byte_p50_ms: waiting.med,
    first_byte_p95_ms: waiting['p(95)'],
    thresholds_broken: broken,
  };
  const out = { stdout: `${JSON.stringify(figures)}\n` };
  if (__ENV.SUMMARY) out[__ENV.SUMMARY] = JSON.stringify(figures);
  return out;
}
