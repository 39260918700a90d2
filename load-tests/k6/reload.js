// Chat and streams while scripts/load.sh rewrites the configuration and sends SIGHUP 50 times. Nothing may fail, and a breaker that was
// open before the first reload must still be open after the last one: its target is not asked once.
import { Gauge } from 'k6/metrics';
import { options as make, chat, scrape, stats, stream, sum, summaryWith } from './lib.js';

export const options = make(30, { http_req_duration: ['p(95)<800'] });
const state = new Gauge('breaker_at_the_end'), calls = new Gauge('calls_to_the_open_target'), loaded = new Gauge('reloads');
const BREAKER = ['cirque_breaker_state', { target: 'broken/mock' }];

export function setup() {
  for (let nth = 0; nth < 20; nth++) chat('covered');
  const seen = scrape();
  return { broken: stats('broken').requests, state: sum(seen, ...BREAKER), reloads: sum(seen, 'cirque_config_reloads_total', { result: 'success' }) };
}

export default function () {
  const dice = Math.random();
  if (dice < 0.5) chat('mock');
  else if (dice < 0.7) chat('covered');
  else stream('pace-5-mock');
}

export function teardown(before) {
  const seen = scrape();
  state.add(sum(seen, ...BREAKER));
  calls.add(stats('broken').requests - before.broken);
  loaded.add(sum(seen, 'cirque_config_reloads_total', { result: 'success' }) - before.reloads);
}

export const handleSummary = summaryWith((of, data) => [
  ['the breaker was open before', `state ${data.setup_data.state} after ${data.setup_data.broken} calls`, data.setup_data.state === 2],
  ['open after', `state ${of('breaker_at_the_end').value}`, of('breaker_at_the_end').value === 2],
  ['its target not asked', `${of('calls_to_the_open_target').value} calls`, of('calls_to_the_open_target').value === 0],
  ['reloads in between', of('reloads').value, of('reloads').value >= 40],
]);
