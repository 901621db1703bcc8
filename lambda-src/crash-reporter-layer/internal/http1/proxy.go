package http1

import (
	"net"
	"net/url"
	"strings"
)

// ProxyFromEnv returns a proxy chooser with the usual meaning of HTTPS_PROXY,
// HTTP_PROXY and NO_PROXY (either case). Loopback is never proxied.
func ProxyFromEnv(getenv func(string) string) func(*url.URL) *url.URL {
	read := func(name string) string {
		if v := getenv(name); v != "" {
			return v
		}
		return getenv(strings.ToLower(name))
	}
	httpsProxy, httpProxy := parseProxy(read("HTTPS_PROXY")), parseProxy(read("HTTP_PROXY"))
	bypass := strings.Split(read("NO_PROXY"), ",")
	return func(target *url.URL) *url.URL {
		proxy := httpProxy
		if target.Scheme == "https" {
			proxy = httpsProxy
		}
		if proxy == nil || isLoopback(target.Hostname()) || bypassed(target, bypass) {
			return nil
		}
		return proxy
	}
}

func parseProxy(raw string) *url.URL {
	if raw == "" {
		return nil
	}
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil
	}
	return u
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

func bypassed(target *url.URL, rules []string) bool {
	host := strings.ToLower(target.Hostname())
	ip := net.ParseIP(host)
	for _, rule := range rules {
		rule = strings.ToLower(strings.TrimSpace(rule))
		if rule == "*" {
			return true
		}
		if h, port, err := net.SplitHostPort(rule); err == nil {
			if _, want, _ := net.SplitHostPort(hostPort(target)); want != port {
				continue
			}
			rule = h
		}
		if _, network, err := net.ParseCIDR(rule); err == nil && ip != nil && network.Contains(ip) {
			return true
		}
		rule = strings.TrimPrefix(strings.TrimPrefix(rule, "*"), ".")
		if rule != "" && (host == rule || strings.HasSuffix(host, "."+rule)) {
			return true
		}
	}
	return false
}
