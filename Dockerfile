# The web app in a box.
#
#   docker build -t mapperatorinator .                                        for a CPU
#   docker build -t mapperatorinator --build-arg DEVICE=cuda .                for an NVIDIA card
#   docker run --rm -p 127.0.0.1:8866:8866 -v mapperatorinator:/data mapperatorinator
#   docker run --rm --gpus all -p 127.0.0.1:8866:8866 -v mapperatorinator:/data mapperatorinator
#
# It says the address with its token on its output. Weights that are fetched, uploads and maps lie in the volume.
ARG PYTHON=3.11
FROM python:${PYTHON}-slim

# cpu: the small wheels of PyTorch; cuda: those that bring CUDA along
ARG DEVICE=cpu

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1 \
    HF_HOME=/data/models \
    MAPPERATORINATOR_STATE=/data/state

WORKDIR /app
COPY constraints.txt settings.ini setup.py README.md LICENSE ./

# PyTorch first and alone, so that a change of ours does not fetch it again
RUN set -eu; \
    torch="$(sed -n 's/^torch==/torch==/p' constraints.txt)"; \
    case "${DEVICE}" in \
      cpu) pip install --index-url https://download.pytorch.org/whl/cpu "${torch}" ;; \
      cuda) pip install "${torch}" ;; \
      *) echo "DEVICE=${DEVICE} is neither cpu nor cuda" >&2; exit 2 ;; \
    esac

COPY mapperatorinator ./mapperatorinator
RUN pip install --constraint constraints.txt ".[app]"

# Nobody who gets in is root
RUN useradd --create-home --uid 1000 mapper && mkdir -p /data && chown mapper /data
USER mapper
WORKDIR /home/mapper
VOLUME /data
EXPOSE 8866

# Inside the box it listens to all; who may come is said by `-p` outside, and by the token
ENTRYPOINT ["mapperatorinator", "app", "address=0.0.0.0", "open_browser=false"]
CMD ["port=8866"]
