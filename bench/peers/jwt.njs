// The token's check for nginx. njs runs every request in a fresh copy of the machine: nothing verified can be remembered.
import c from 'crypto';  //: HS256

function bearer(r) {
    var a = r.headersIn.Authorization;
    if (!a || a.slice(0, 7) !== 'Bearer ') return null;
    var p = a.slice(7).split('.');
    return p.length === 3 ? p : null;
}

function tenantOf(payload) {
    var j = JSON.parse(Buffer.from(payload, 'base64url').toString());
    if (j.iss !== '@ISSUER@' || !(j.exp > Date.now() / 1000)) return '';
    return j.tid || '';
}

function tid(r) {  //: HS256
    var p = bearer(r);  //: HS256
    if (p === null) return '';  //: HS256
    var s = c.createHmac('sha256', '@SECRET@').update(p[0] + '.' + p[1]).digest('base64url');  //: HS256
    return s === p[2] ? tenantOf(p[1]) : '';  //: HS256
}  //: HS256

var RSA = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };  //: RS256
var SPKI = Buffer.from('@SPKI@', 'base64');  //: RS256
async function check(r) {  //: RS256
    var p = bearer(r);  //: RS256
    if (p === null) return r.return(401);  //: RS256
    var key = await crypto.subtle.importKey('spki', SPKI, RSA, false, ['verify']);  //: RS256
    var good = await crypto.subtle.verify(RSA, key, Buffer.from(p[2], 'base64url'), p[0] + '.' + p[1]);  //: RS256
    if (!good) return r.return(401);  //: RS256
    r.variables.tid = tenantOf(p[1]);  //: RS256
    r.internalRedirect('@app');  //: RS256
}  //: RS256
export default { tid };  //: HS256
export default { check };  //: RS256
