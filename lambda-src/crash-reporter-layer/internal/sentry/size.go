package sentry

import (
	"cdk-serverless-blocks/crash-reporter/internal/stack"
	"cdk-serverless-blocks/crash-reporter/internal/wire"
)

const (
	// The ends of a long stack: where it began and where it broke.
	outerFrames, innerFrames = 5, 15
	maxChain                 = 3
	maxFrameText             = 128
	maxShortValue            = 1 << 10
)

// Slim removes from a payload what can be spared, for a server that found it too large.
func Slim(payload []byte) []byte { return edit(payload, dropExtras) }

// Fit makes a payload as small as the limit demands, giving up the least important first.
func Fit(payload []byte, limit int) []byte {
	for _, cut := range []func(map[string]any){dropExtras, dropOuterContext, shortenStacks, shortenTexts} {
		if len(payload) <= limit {
			break
		}
		payload = edit(payload, cut)
	}
	return payload
}

func edit(payload []byte, change func(event map[string]any)) []byte {
	value, _ := wire.Parse(payload)
	event, ok := value.(map[string]any)
	if !ok {
		return payload
	}
	change(event)
	return wire.Marshal(event)
}

func dropExtras(event map[string]any) {
	delete(event, "breadcrumbs")
	delete(event, "extra")
}

// dropOuterContext leaves surrounding lines only to the frame where it broke.
func dropOuterContext(event map[string]any) {
	for _, value := range valuesOf(event) {
		trace, _ := value["stacktrace"].(map[string]any)
		frames, _ := trace["frames"].([]any)
		for i := 0; i < len(frames)-1; i++ {
			if frame, ok := frames[i].(map[string]any); ok {
				delete(frame, "pre_context")
				delete(frame, "post_context")
			}
		}
	}
}

func shortenStacks(event map[string]any) {
	for _, value := range valuesOf(event) {
		trace, _ := value["stacktrace"].(map[string]any)
		if frames, _ := trace["frames"].([]any); len(frames) > outerFrames+innerFrames {
			trace["frames"] = append(frames[:outerFrames:outerFrames], frames[len(frames)-innerFrames:]...)
		}
	}
}

func shortenTexts(event map[string]any) {
	values := valuesOf(event)
	values = values[max(0, len(values)-maxChain):] // the first cause comes first, the error itself last
	kept := make([]any, 0, len(values))
	for _, value := range values {
		if text, ok := value["value"].(string); ok {
			value["value"] = stack.Clip(text, maxShortValue)
		}
		trace, _ := value["stacktrace"].(map[string]any)
		frames, _ := trace["frames"].([]any)
		for _, frame := range frames {
			fields, _ := frame.(map[string]any)
			for name, field := range fields {
				if text, ok := field.(string); ok {
					fields[name] = stack.Clip(text, maxFrameText)
				}
			}
		}
		kept = append(kept, value)
	}
	event["exception"] = map[string]any{"values": kept}
}

func valuesOf(event map[string]any) (values []map[string]any) {
	exception, _ := event["exception"].(map[string]any)
	list, _ := exception["values"].([]any)
	for _, value := range list {
		if fields, ok := value.(map[string]any); ok {
			values = append(values, fields)
		}
	}
	return values
}
