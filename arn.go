package muster

// ARN returns the Amazon Resource Name of a resource of AWS IoT, such as
// "cert/4f…" or "topic/a/b".
func ARN(region, account, resource string) string {
	return "arn:aws:iot:" + region + ":" + account + ":" + resource
}
