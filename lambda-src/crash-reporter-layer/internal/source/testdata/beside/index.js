'use strict';
var c = Object.defineProperty;
var d = Object.getOwnPropertyDescriptor;
var i = Object.getOwnPropertyNames;
var a = Object.prototype.hasOwnProperty;
var l = (e, r) => {
    for (var n in r) c(e, n, { get: r[n], enumerable: !0 });
  },
  p = (e, r, n, o) => {
    if ((r && typeof r == 'object') || typeof r == 'function')
      for (let t of i(r))
        !a.call(e, t) && t !== n && c(e, t, { get: () => r[t], enumerable: !(o = d(r, t)) || o.enumerable });
    return e;
  };
var u = e => p(c({}, '__esModule', { value: !0 }), e);
var b = {};
l(b, { handler: () => y });
module.exports = u(b);
function m(e) {
  return e.items.reduce((o, t) => o + t.price, 0) + '\u{1F382}\u{1F382}'.length * 0;
}
var s = class {
  pay(r) {
    return `${r.id}: ${m(r)}`;
  }
};
var y = async e => new s().pay(e.order);
0 && (module.exports = { handler });
//# sourceMappingURL=index.js.map
