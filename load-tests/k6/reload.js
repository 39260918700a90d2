// Chat and streams while scripts/load.sh rewrites the configuration and sends SIGHUP 50 times. Nothing may fail.
import { options as make, chat, stream, summary } from './lib.js';

export const options = make(30, { http_req_duration: ['p(95)<800'] });
export default function () {
  if (Math.random() < 0.6) chat('mock');
  else stream('pace-5-mock');
}
export const handleSummary = summary;
