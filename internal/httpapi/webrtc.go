package httpapi

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
)

// maxCandidate bounds one ICE candidate line; real ones have under 200 bytes.
const maxCandidate = 1024

func getICEServers(s *Server, w http.ResponseWriter, _ *http.Request, c *call) error {
	servers := s.cfg.Streams.ICEServers(c.UserID, s.now())
	if servers == nil {
		servers = []vitrine.ICEServer{}
	}
	reply(w, http.StatusOK, api.ICEServers{ICEServers: servers})
	return nil
}

func postOffer(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	var in api.SessionDescription
	if err := decode(w, r, maxBody, &in); err != nil {
		return err
	}
	if in.Type != api.SDPOffer {
		return invalid("type", "is %q", clip(in.Type, 64)).WithRemedy(`"offer"`)
	}
	if err := checkSDP("sdp", in.SDP); err != nil {
		return err
	}
	if err := ready(c.session); err != nil {
		return err
	}
	answer, err := s.cfg.Streams.Offer(r.Context(), c.viewer, in.SDP)
	if err != nil {
		return err
	}
	s.cfg.Sessions.Touch(c.session.ID)
	reply(w, http.StatusOK, api.SessionDescription{SDP: answer, Type: api.SDPAnswer})
	return nil
}

// checkSDP tells what is plainly no session description; the streams parse it.
func checkSDP(field, sdp string) error {
	if !strings.HasPrefix(sdp, "v=0") {
		return invalid(field, "is not a session description").WithRemedy("send the browser's SDP as it is; it begins with v=0")
	}
	return nil
}

func getAnswer(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	if err := ready(c.session); err != nil {
		return err
	}
	answer, err := s.cfg.Streams.Answer(r.Context(), c.viewer)
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, api.SessionDescription{SDP: answer, Type: api.SDPAnswer})
	return nil
}

func postCandidate(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	var in api.ICECandidate
	if err := decode(w, r, maxBody, &in); err != nil {
		return err
	}
	if len(in.Candidate) > maxCandidate {
		return invalid("candidate", "has %d bytes", len(in.Candidate)).WithRemedy("at most %d", maxCandidate)
	}
	if err := ready(c.session); err != nil {
		return err
	}
	if err := s.cfg.Streams.AddCandidate(r.Context(), c.viewer, in.ICECandidate); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func getCandidates(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	if err := ready(c.session); err != nil {
		return err
	}
	list, err := s.cfg.Streams.Candidates(r.Context(), c.viewer)
	if err != nil {
		return err
	}
	if list == nil {
		list = []vitrine.ICECandidate{}
	}
	reply(w, http.StatusOK, api.ICECandidates{Candidates: list})
	return nil
}

// Media types of WHEP.
const (
	sdpType      = "application/sdp"
	fragmentType = "application/trickle-ice-sdpfrag"
)

func createWHEP(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	offer, err := readBody(w, r, maxBody, sdpType)
	if err != nil {
		return err
	}
	if err := checkSDP("the body", string(offer)); err != nil {
		return err
	}
	if err := ready(c.session); err != nil {
		return err
	}
	resource, answer, err := s.cfg.Streams.WHEP(r.Context(), c.viewer, string(offer))
	if err != nil {
		return err
	}
	s.cfg.Sessions.Touch(c.session.ID)
	h := w.Header()
	h.Set("Content-Type", sdpType)
	h.Set("Location", "/v1/sessions/"+c.session.ID+"/whep/"+url.PathEscape(resource))
	h.Set("Accept-Patch", fragmentType)
	h.Set("Content-Length", strconv.Itoa(len(answer)))
	for _, link := range iceLinks(s.cfg.Streams.ICEServers(c.UserID, s.now())) {
		h.Add("Link", link)
	}
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write([]byte(answer))
	return nil
}

// iceLinks gives ICE servers as WHEP does: one Link header for each address.
func iceLinks(servers []vitrine.ICEServer) []string {
	var links []string
	for _, server := range servers {
		for _, u := range server.URLs {
			link := "<" + u + `>; rel="ice-server"`
			if server.Username != "" {
				link += "; username=" + strconv.Quote(server.Username) + "; credential=" + strconv.Quote(server.Credential) + `; credential-type="password"`
			}
			links = append(links, link)
		}
	}
	return links
}

func patchWHEP(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	fragment, err := readBody(w, r, maxBody, fragmentType)
	if err != nil {
		return err
	}
	if err := s.cfg.Streams.PatchWHEP(r.Context(), c.viewer, clip(r.PathValue("resource"), 128), string(fragment)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func deleteWHEP(s *Server, w http.ResponseWriter, r *http.Request, c *call) error {
	if err := s.cfg.Streams.CloseWHEP(r.Context(), c.viewer, clip(r.PathValue("resource"), 128)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
