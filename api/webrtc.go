package api

import "github.com/vitrine-dev/vitrine"

// ICEServers is the reply of GET /api/webrtc/ice-servers.
type ICEServers struct {
	ICEServers []vitrine.ICEServer `json:"iceServers"`
}

// The types of a SessionDescription.
const (
	SDPOffer  = "offer"
	SDPAnswer = "answer"
)

// SessionDescription is RTCSessionDescriptionInit: an offer or an answer.
type SessionDescription struct {
	SDP  string `json:"sdp"`
	Type string `json:"type"`
}

// ICECandidate is RTCIceCandidateInit as browsers give it.
type ICECandidate struct {
	vitrine.ICECandidate
	UsernameFragment *string `json:"usernameFragment,omitempty"`
}

// ICECandidates is the node's candidates so far.
type ICECandidates struct {
	Candidates []vitrine.ICECandidate `json:"candidates"`
}
