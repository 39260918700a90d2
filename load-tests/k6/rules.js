// Routing by tenant, region and size under load, twenty rules: every answer must come from where the first rule that holds says.
import { check } from 'k6';
import { options as make, chatBody, post, says, summary } from './lib.js';

export const options = make(40, { http_req_duration: ['p(95)<300'] });
const SMALL = chatBody('mock', false), LARGE = chatBody('mock', false, 'All the world is a circus. '.repeat(600));

const KINDS = [
  { from: 'us', headers: {} },
  { from: 'us', headers: { 'x-region': 'us' } },
  { from: 'eu', headers: { 'x-region': 'eu' } },
  { from: 'us', headers: { 'x-region': 'mars' } },
  { from: 'acme', headers: { 'x-tenant': 'acme' } },
  // The tenant's rule stands before the region's.
  { from: 'acme', headers: { 'x-tenant': 'acme', 'x-region': 'eu' } },
  { from: 'us', headers: { 'x-tenant': 't13', 'x-region': 'eu' } },
  { from: 'eu', headers: { 'x-tenant': 'cool', 'x-region': 'eu' } },
  { from: 'large', headers: {}, body: LARGE },
  { from: null, headers: { 'x-tenant': 'banned', 'x-region': 'eu' } },
];

export default function () {
  const kind = KINDS[Math.floor(Math.random() * KINDS.length)];
  const answer = post('/v1/chat/completions', kind.body || SMALL, `to ${kind.from}`, kind.from ? 200 : 403, kind.headers);
  if (kind.from) {
    check(answer, { [`rules: answered by ${kind.from}`]: (r) => r.status === 200 && says(r, (v) => v.system_fingerprint === `fp_${kind.from}`) });
  } else {
    check(answer, { 'rules: refused with the text of the rule': (r) => r.status === 403 && says(r, (v) => v.error.message.includes('banned')) });
  }
}
export const handleSummary = summary;
