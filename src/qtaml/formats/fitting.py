import numpy as np
from dataclasses import dataclass
from qtaml.formats.decision import least_error_regions
from qtaml.formats.transitions import central_moments, transition_matrix
@dataclass(frozen=True)
class Fitted:
    table: tuple
    error: float
def histogram(w, bins=2048):
    w=np.sort(np.asarray(w,float)); 
    parts=np.array_split(w,min(bins,len(w)))
    return np.array([p.mean() for p in parts]), np.array([len(p) for p in parts],float), float(sum(((p-p.mean())**2).sum() for p in parts)/len(w))
def fit(x,c,law,its=40):
    c=c/c.sum(); b=law.bits
    if b==0: m=(c*x).sum(); return Fitted((float(m),),float((c*(x-m)**2).sum()))
    P=transition_matrix(law); best=None
    sd=np.sqrt((c*x*x).sum())
    for start in range(3):
        M=min(2**b,[16,8,4][start])
        from scipy.stats import norm
        lev=norm.ppf((np.arange(M)+.5)/M)*sd
        g=np.repeat(lev,2**b//M)
        if start==2 and b<=3: 
            g=np.repeat(lev[::1],2**b//M)
        for _ in range(its):
            m,v,*_=central_moments(g,law)
            bd,lab=least_error_regions(m,v)
            u=lab[np.searchsorted(bd,x)]
            num=np.bincount(u,c*x,2**b); den=np.bincount(u,c,2**b); dd=P.T@den
            g=np.where(dd>1e-300,(P.T@num)/np.maximum(dd,1e-300),0)
        m,v,*_=central_moments(g,law); bd,lab=least_error_regions(m,v); u=lab[np.searchsorted(bd,x)]
        e=float((c*((m[u]-x)**2+v[u])).sum())
        if best is None or e<best.error: best=Fitted(tuple(map(float,g)),e)
    return best
