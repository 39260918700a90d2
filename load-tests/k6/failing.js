// One of three targets fails every call: answers 503, resets the connection, ends it before the first event, answers HTML, hangs, is
// not there, or fails a third. The others must cover for it: not one client may see an error.
import { Gauge } from 'k6/metrics';
import { options as make, chat, scrape, stream, sum, summaryWith } from './lib.js';

const POOLS = ['status', 'reset', 'eof', 'html', 'hang', 'flaky', 'dead', 'asked-status', 'asked-reset', 'asked-eof', 'asked-hang'];
const failed = new Gauge('first_calls_that_failed');

export const options = make(30, { http_req_duration: ['p(95)<1000'] });

export default function () {
  const model = POOLS[Math.floor(Math.random() * POOLS.length)];
  if (Math.random() < 0.6) chat(model, `chat ${model}`);
  else stream(model, `stream ${model}`);
}

export function teardown() {
  failed.add(sum(scrape(), 'cirque_upstream_extra_calls_total', { purpose: 'first' }));
}

export const handleSummary = summaryWith((of) => [
  // Of the pools whose breaker stays closed alone, a third of the requests fails at first.
  ['failing targets were asked', of('first_calls_that_failed').value, of('first_calls_that_failed').value > of('http_reqs').count * 0.05],
]);
