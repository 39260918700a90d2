// Nobody answers, at 300 requests a second, and every failure would be worth asking somebody else and asking again: the budget keeps
// the calls within 1.2 for each request (and 3 in any second), and each client is told in the right form.
import { Gauge } from 'k6/metrics';
import { check } from 'k6';
import { arm, chatBody, post, says, scrape, stats, sum, summaryWith, together } from './lib.js';

export const options = together({ lost: arm('lost', 300) }, { http_req_duration: ['p(95)<500'] });
const ratio = new Gauge('calls_per_request'), calls = new Gauge('calls'), requests = new Gauge('requests');
const MODELS = 10;
const bodies = Array.from({ length: MODELS }, (_, nth) => chatBody(`lost-${nth + 1}`, false));

export function lost() {
  const answer = post('/v1/chat/completions', bodies[Math.floor(Math.random() * MODELS)], 'lost', [502, 503]);
  check(answer, {
    'storm: 502 or 503': (r) => r.status === 502 || r.status === 503,
    'storm: in OpenAI form': (r) => says(r, (value) => value.error.message.length > 0 && value.error.type !== undefined),
  });
}

export function teardown() {
  const made = stats('one').requests + stats('two').requests;
  const asked = sum(scrape(), 'cirque_requests_total');
  calls.add(made);
  requests.add(asked);
  ratio.add(made / asked);
}

export const handleSummary = summaryWith((of) => [
  ['at most 1.2 calls for each request', of('calls_per_request').value.toFixed(3), of('calls_per_request').value <= 1.2 + 3 / 300],
  ['asking again was tried', of('calls_per_request').value.toFixed(3), of('calls_per_request').value > 1.1],
]);
