package awsiot

import (
	"strconv"
	"time"
)

// epoch is a time as restJson1 writes it: a number of seconds since 1970, with
// milliseconds as its fraction. SDKs reject a text and misread milliseconds.
type epoch time.Time

// MarshalJSON writes the number.
func (e epoch) MarshalJSON() ([]byte, error) {
	ms := time.Time(e).UnixMilli()
	return strconv.AppendFloat(nil, float64(ms)/1000, 'f', -1, 64), nil
}
