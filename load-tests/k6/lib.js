// Shared by the scenarios: where to send, what to send, what counts as right, and how a run is written down.
// Environment, set by scripts/load.sh: BASE_URL, ADMIN_URL, MOCK_name (address of a mock), DURATION (20s), VUS (per scenario),
// SUMMARY (file), DIRECT (no gateway).
import http from 'k6/http';
import { check } from 'k6';

export const BASE = __ENV.BASE_URL || 'http://127.0.0.1:8080';
export const ADMIN = __ENV.ADMIN_URL || 'http://127.0.0.1:8081';
export const DIRECT = __ENV.DIRECT === '1';
export const DURATION = __ENV.DURATION || '20s';

const HEADERS = { 'content-type': 'application/json', authorization: 'Bearer sk-load-0123456789abcdef' };

// Failed means: not the status the scenario expects. A scenario is over budget with the first such answer.
export function options(vus, more) {
  const run = { executor: 'constant-vus', vus: Number(__ENV.VUS || vus), duration: DURATION, gracefulStop: '30s' };
  return together({ run }, more);
}

// Several loads at one time, each a k6 scenario: `arm(...)` or `times(...)`.
export function together(scenarios, more) {
  return {
    discardResponseBodies: false,
    summaryTrendStats: ['avg', 'min', 'med', 'p(95)', 'p(99)', 'max'],
    scenarios,
    thresholds: Object.assign({ http_req_failed: ['rate==0'], checks: ['rate==1'] }, more),
  };
}

// So many requests a second, whether answers come or not: what one arm of a comparison does to the gateway does not depend on
// how fast it is answered.
export function arm(exec, perSecond, startTime) {
  return {
    executor: 'constant-arrival-rate', exec, rate: perSecond, timeUnit: '1s', duration: DURATION, preAllocatedVUs: Math.ceil(perSecond / 2),
    maxVUs: perSecond * 4, gracefulStop: '30s', startTime: startTime || '0s',
  };
}

// So many in all.
export function times(exec, iterations, vus) {
  return { executor: 'shared-iterations', exec, iterations, vus, maxDuration: '120s' };
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

// `expected`: one status or a list of those that are no failure.
export function post(path, body, name, expected, headers) {
  return http.post(`${BASE}${path}`, body, {
    headers: headers ? Object.assign({}, HEADERS, headers) : HEADERS,
    tags: { name: name || path },
    timeout: '30s',
    responseCallback: http.expectedStatuses(...[].concat(expected || 200)),
  });
}

// What a mock has counted since its last reset.
export function stats(mock) {
  return http.get(`http://${__ENV[`MOCK_${mock}`]}/stats`).json();
}

// What the gateway counts, as [{ name, labels, value }].
export function scrape() {
  const lines = http.get(`${ADMIN}/metrics`).body.split('\n');
  return lines.filter((line) => line && !line.startsWith('#')).map((line) => {
    const [, name, text, value] = line.match(/^([a-z_]+)(?:\{(.*)\})? (\S+)/) || [];
    const labels = {};
    for (const [, key, held] of (text || '').matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)) labels[key] = held;
    return { name, labels, value: Number(value) };
  });
}

// The sum of all series of a name that have these labels.
export function sum(scraped, name, labels) {
  const has = (series) => Object.entries(labels || {}).every(([key, value]) => series.labels[key] === value);
  return scraped.filter((series) => series.name === name && has(series)).reduce((total, series) => total + series.value, 0);
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

// Metrics of k6 itself; what else there is a scenario measures on its own account.
const BUILT_IN = /^(http_|iteration|dropped_iterations|vus|data_|checks|group_|ws_|grpc_|browser_)/;

export function summary(data) {
  return written(data, []);
}

// `rules(of, data)` gives [what, value, holds]: what must hold between the figures of several metrics; `of(metric)` are one's values.
export function summaryWith(rules) {
  return (data) => {
    const of = (name) => (data.metrics[name] ? data.metrics[name].values : {});
    return written(data, rules(of, data));
  };
}

function own(metrics) {
  const figures = {};
  for (const [name, metric] of Object.entries(metrics)) {
    if (BUILT_IN.test(name) || name.includes('{')) continue;
    const v = metric.values;
    if (metric.type === 'trend') figures[name] = { p50: v.med, p95: v['p(95)'], p99: v['p(99)'], max: v.max };
    else figures[name] = { [metric.type]: metric.type === 'counter' ? v.count : metric.type === 'rate' ? v.rate : v.value };
  }
  return figures;
}

function written(data, rules) {
  const trend = (name) => (data.metrics[name] ? data.metrics[name].values : {});
  const duration = trend('http_req_duration');
  const waiting = trend('http_req_waiting');
  const broken = rules.filter(([, , holds]) => !holds).map(([what, value]) => `not ${what}: ${value}`);
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
    own: own(data.metrics),
    held: rules.filter(([, , holds]) => holds).map(([what, value]) => `${what}: ${value}`),
    thresholds_broken: broken,
  };
  const out = { stdout: `${JSON.stringify(figures)}\n` };
  if (__ENV.SUMMARY) out[__ENV.SUMMARY] = JSON.stringify(figures);
  return out;
}
