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
//# sourceMappingURL=data:application/json;base64,ewogICJ2ZXJzaW9uIjogMywKICAic291cmNlcyI6IFsiLi4vc3JjL2hhbmRsZXIudHMiLCAiLi4vc3JjL29yZGVyLnRzIl0sCiAgInNvdXJjZXNDb250ZW50IjogWyJpbXBvcnQgeyBDaGVja291dCwgdHlwZSBPcmRlciB9IGZyb20gJy4vb3JkZXInO1xuXG5leHBvcnQgY29uc3QgaGFuZGxlciA9IGFzeW5jIChldmVudDogeyBvcmRlcjogT3JkZXIgfSk6IFByb21pc2U8c3RyaW5nPiA9PiB7XG4gIGNvbnN0IGNoZWNrb3V0ID0gbmV3IENoZWNrb3V0KCk7XG4gIHJldHVybiBjaGVja291dC5wYXkoZXZlbnQub3JkZXIpO1xufTtcbiIsICJleHBvcnQgaW50ZXJmYWNlIE9yZGVyIHtcbiAgcmVhZG9ubHkgaWQ6IHN0cmluZztcbiAgcmVhZG9ubHkgaXRlbXM/OiByZWFkb25seSB7IHJlYWRvbmx5IHByaWNlOiBudW1iZXIgfVtdO1xufVxuXG4vKiogU3VtcyB1cCBcdTIwMTQgd2l0aCBhIFx1MjAxQ3F1b3RlXHUyMDFELCBhIHRhYlxcdCBhbmQgYW4gZW1vamkgXHVEODNDXHVERjgyIFx1MjAxNCB3aGF0IGFuIG9yZGVyIGNvc3RzLiAqL1xuZXhwb3J0IGZ1bmN0aW9uIHRvdGFsKG9yZGVyOiBPcmRlcik6IG51bWJlciB7XG4gIGNvbnN0IGxhYmVsID0gJ1x1RDgzQ1x1REY4Mlx1RDgzQ1x1REY4Mic7IGNvbnN0IGl0ZW1zID0gb3JkZXIuaXRlbXMhO1xuICByZXR1cm4gaXRlbXMucmVkdWNlKChzdW0sIGl0ZW0pID0+IHN1bSArIGl0ZW0ucHJpY2UsIDApICsgbGFiZWwubGVuZ3RoICogMDtcbn1cblxuZXhwb3J0IGNsYXNzIENoZWNrb3V0IHtcbiAgcHVibGljIHBheShvcmRlcjogT3JkZXIpOiBzdHJpbmcge1xuICAgIGNvbnN0IHBhc3N3b3JkID0gb3JkZXIuaWQ7XG4gICAgcmV0dXJuIGAke3Bhc3N3b3JkfTogJHt0b3RhbChvcmRlcil9YDtcbiAgfVxufVxuIl0sCiAgIm1hcHBpbmdzIjogInlhQUFBLElBQUFBLEVBQUEsR0FBQUMsRUFBQUQsRUFBQSxhQUFBRSxJQUFBLGVBQUFDLEVBQUFILEdDTU8sU0FBU0ksRUFBTUMsRUFBc0IsQ0FFMUMsT0FEb0NBLEVBQU0sTUFDN0IsT0FBTyxDQUFDQyxFQUFLQyxJQUFTRCxFQUFNQyxFQUFLLE1BQU8sQ0FBQyxFQUR4QyxxQkFDa0QsT0FBUyxDQUMzRSxDQUVPLElBQU1DLEVBQU4sS0FBZSxDQUNiLElBQUlILEVBQXNCLENBRS9CLE1BQU8sR0FEVUEsRUFBTSxFQUNMLEtBQUtELEVBQU1DLENBQUssQ0FBQyxFQUNyQyxDQUNGLEVEZE8sSUFBTUksRUFBVSxNQUFPQyxHQUNYLElBQUlDLEVBQVMsRUFDZCxJQUFJRCxFQUFNLEtBQUsiLAogICJuYW1lcyI6IFsiaGFuZGxlcl9leHBvcnRzIiwgIl9fZXhwb3J0IiwgImhhbmRsZXIiLCAiX190b0NvbW1vbkpTIiwgInRvdGFsIiwgIm9yZGVyIiwgInN1bSIsICJpdGVtIiwgIkNoZWNrb3V0IiwgImhhbmRsZXIiLCAiZXZlbnQiLCAiQ2hlY2tvdXQiXQp9Cg==
