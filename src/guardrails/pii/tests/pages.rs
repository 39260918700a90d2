//! Ordinary pages, in which nothing personal stands: nothing may be found by default.

use super::{default, found};

const PROSE: &str = "\
The council met at 19:30 on 12.05.2023 and again on 2023-06-01; 1,250 of 3 400 residents (36.8 %) had signed by 30/05/2023. \
Rooms 101-104 cost EUR 1.299,00 or $1,549.99 a night, 10.000.000 in all, with a deposit of 15000000 won. Version 2.14.0-rc.1 \
replaced 2.13.9.1; see section 4.2.1.3 of RFC 9110, ISBN 978-3-16-148410-0 (or 3-16-148410-X, 9783161484100), ISSN 0317-8471, \
doi:10.1000/182. In 1999-2003 the ratio was 16:9, the score 3:2, the odds 100:1. Flight LH 1234 left gate A12 at 06:45 and flew \
35 000 ft over 48.137154, 11.576124 (48°8'14\" N). Order 20240517-000123, invoice RE-2024-00117, case 1:23-cv-04567, patent US \
9,876,543 B2, part 12-3456-789, batch sizes 256 512 1024, screens of 640 480 1920. Pi is 3.14159265358979, e is 2.718281828459045, \
c is 299792458 m/s, N is 6.02214076e23; the population 8045311447. Prices: 4.99 5.49 10.00 12.50 99.95. They are 1, 2, 3, 4. \
Ring 3 times, call 2 witnesses, text 160 characters, message 12 of 40, reach 10 000 000 people; mobile since 2007; phone in 2024-05-01. \
Sections 1.1.1.1 to 1.1.2.4; chapter 10.2.3.4. Contact the @team at noon, meet me @ 5, or see @john.doe's post. P.O. Box 1234, \
Springfield 62704-1234, 2nd floor; Boston, MA 02110-1301; 80331 München; SW1A 1AA. The card reads 'Happy 40th'; the social 21 club; 1/2 cup, 3-4 eggs. \
Win 6 of 49: 03 11 19 24 35 42; results 21-19 18-21 21-15; 100-200-300; 1-2-3-4-5; A4 210 x 297; 4 x 100 m in 37.10; 5'11\".";

const CODE: &str = r#"
use std::collections::BTreeMap; // std::fmt, abc::def, face::bad, a::b
let masks = [0x0000_ffff_u32, 0xDEADBEEF, 0xcafebabe, 0b1010_1010, 1_000_000_000, 4294967295, 18446744073709551615];
let x = &a[1..200]; let y = b[::2]; z = c[1::100, ::-1]; m = d[10:20:3000]
const EPOCH_MS: i64 = 1716192000123; const EPOCH_S: i64 = 1716192000; const US: i64 = 1716192000123456; const NS = 1716192000123456789;
foo :: Int -> Int -- Haskell; ::before { color: #ff00aa; margin: 0 10px 20px 30px } .a::after { }
git clone git@github.com:acme/tool.git && npm i react@18.2.0 @types/node@20.11.5 left-pad@1.3.0 img/icon@2x.png pkg@latest
commit 9f8e7d6c5b4a39281706f5e4d3c2b1a098765432 (HEAD -> main, tag: v1.2.3.4)
sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 md5 d41d8cd98f00b204e9800998ecf8427e
2024-05-20T08:00:00.123456Z INFO server[1234]: GET /v1/items/123456789012?limit=100 200 12.345ms 0.0012s pid=31337 rss=123456789
for (i = 0; i < 1000000; i++) { sum += i * 3.0 - 10.5; } if (a - 1 == (0) - 2) { return -1; } // 0 1 2 3 4 5 6 7 8 9
SELECT id FROM orders WHERE id IN (1001, 1002, 1003) AND total > 99.95 AND created BETWEEN '2024-01-01' AND '2024-12-31';
@media (min-width: 1280px) {} @Override public void run() {} user@localhost systemctl restart getty@tty1.service
User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36
s = "AAAAB3NzaC1yc2EAAAADAQABAAABgQC7" + "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA="; n = 6.0221e+23; t = 00:00:01.500 --> 00:00:04.000
"#;

const JSON: &str = r#"{"id":"550e8400-e29b-41d4-a716-446655440000","trace":"0af7651916cd43dd8448eb211c80319c","n":12345678901234567890,
"created":1716192000,"updated_ms":1716192000123,"at":"2024-05-20T08:00:00+02:00","version":"10.0.19041.1","range":[0,100,1000000],
"snowflake":"1791234567890123456","message_id":"17912345678901234","ean":"4006381333931","upc":"036000291452","sku":"A-1002-33-4400",
"price":{"amount":"1299.00","currency":"EUR"},"size":[1920,1080],"geo":[48.1371540,11.5761240],"hash":"b1946ac92492d2347c6235b4d2611184",
"uuid":"12345678-1234-1234-1234-123456789012","build":"20240520.1234","ratio":0.3333333333333333,"ids":[100000001,100000002,100000003],
"usage":{"prompt_tokens":123456,"completion_tokens":7890},"model":"gpt-4o-2024-08-06","seed":4294967295,"call_id":"call_8Zs1234567890"}"#;

#[test]
fn nothing_is_found_in_ordinary_pages() {
    for page in [PROSE, CODE, JSON] {
        for line in page.lines() {
            assert_eq!(found(default(), line), [""; 0], "{line}");
        }
        assert_eq!(found(default(), page), [""; 0]);
    }
}
