/** Messages as they come by the thousand: a browser's or a client library's request with a token and a trace, an API's answer. */

const TOKEN = `eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.${'eyJzdWIiOiJvcmdfYWNtZSIs'.repeat(5)}.${'c2lnbmF0dXJl'.repeat(3)}abcdefg`;

/** 600 bytes. */
export const REQUEST: Buffer = Buffer.from(
  `${[
    'GET /api/v1/orders/1234567?expand=lines HTTP/1.1',
    'Host: orders.example.com',
    'User-Agent: python-requests/2.32.3',
    'Accept: application/json',
    'Accept-Encoding: gzip, deflate, br',
    `Authorization: Bearer ${TOKEN}`,
    'X-Request-Id: 7f3c9a1e5b2d4c6f8a0b1c2d3e4f5a6b',
    'Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    'X-Forwarded-For: 203.0.113.7',
    'Cookie: session=012345678',
    'Connection: keep-alive',
  ].join('\r\n')}\r\n\r\n`,
);

/** 230 bytes. */
export const RESPONSE: Buffer = Buffer.from(
  `${[
    'HTTP/1.1 200 OK',
    'Content-Type: application/json; charset=utf-8',
    'Date: Wed, 25 Nov 2026 19:03:14 GMT',
    'ETag: W/"3e8-abcdefg"',
    'Cache-Control: private, max-age=0',
    'Content-Length: 1024',
    'Connection: keep-alive',
    'Keep-Alive: timeout=5',
  ].join('\r\n')}\r\n\r\n`,
);

/** Fields of our own for the next hop. */
export const BLOCK: Buffer = Buffer.from('x-tenant-id: acme\r\nx-tenant-plan: gold\r\n');

/** 1 KiB of content in four chunks. */
export const CHUNKED: Buffer = Buffer.from(`${`100\r\n${'x'.repeat(256)}\r\n`.repeat(4)}0\r\n\r\n`);
