// 5 MB request bodies (a long document, or pictures in base64). Small answers.
import { check } from 'k6';
import { options as make, chatBody, post, summary } from './lib.js';

export const options = make(4, { http_req_duration: ['p(95)<2000'] });
const BODY = chatBody('mock', false, 'All the world is a circus, "and all the men";\n'.repeat(110000));

export function setup() {
  if (BODY.length < 5000000) throw new Error(`the body has ${BODY.length} bytes only`);
}
export default function () {
  check(post('/v1/chat/completions', BODY, 'big'), { 'big: 200': (r) => r.status === 200 });
}
export const handleSummary = summary;
