// One failing target in each pool, three ways: it answers 503 always, it answers 500 to a third, nobody listens.
// The good target must cover for it: not one client may see an error.
import { options as make, chat, stream, summary } from './lib.js';

export const options = make(30, { http_req_duration: ['p(95)<1000'] });
const POOLS = ['half-broken', 'half-flaky', 'half-dead'];

export default function () {
  const model = POOLS[Math.floor(Math.random() * POOLS.length)];
  if (Math.random() < 0.7) chat(model, `chat ${model}`);
  else stream(model, `stream ${model}`);
}
export const handleSummary = summary;
