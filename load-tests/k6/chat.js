// Plain chat completions: 1 KB in, 1 KB out, the mock answering after about 50 ms (lognormal).
import { options as make, chat, summary } from './lib.js';

export const options = make(40, { http_req_duration: ['p(95)<300', 'p(99)<600'] });
export default function () {
  chat('mock');
}
export const handleSummary = summary;
